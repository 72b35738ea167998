"""Resident memory that loading a folder takes, against the size of its files.

    python -m benchmarks.load_memory [--shape SmolLM2-135M] [--shards 3] [--quant int4]

Writes random weights of a published shape in bf16, once as one file and once as shards, loads each
in a process of its own in the same dtype, or rounded, reads every weight once, and prints how much
resident memory that process took beyond `import torch`, at its peak and at its end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.models import SHAPES, write

# Runs in a fresh process: argv is the folder and what to round to; prints bytes before, at the
# peak, and at the end.
CHILD = """
import json, sys
from pathlib import Path
import torch
from llmcli.checkpoint.config_json import read_description
from llmcli.checkpoint.headers import read_folder
from llmcli.checkpoint.layout import check_tensors, rounded
from llmcli.checkpoint.quantization import OWN
from llmcli.checkpoint.weights import load_decoder

def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024

folder = Path(sys.argv[1])
description = read_description(folder)
headers = read_folder(folder)
expected, _ = check_tensors(description.family, description.config, headers)
if sys.argv[2] != "none":
    scheme, tied = OWN[sys.argv[2]], description.config.tied
    expected = [rounded(tensor, scheme, tied=tied) for tensor in expected]
torch.ones(8).bfloat16().sum()
before = status("VmRSS")
decoder = load_decoder(folder, headers, expected, description.config,
                       dtype=torch.bfloat16, device=torch.device("cpu"))
for tensor in (*decoder.parameters(), *decoder.buffers()):  # every page, a few at a time
    for part in tensor.flatten().split(1 << 20):
        part.sum()
print(json.dumps([before, status("VmHWM"), status("VmRSS")]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, action="append")
    parser.add_argument("--shards", type=int, default=3)
    parser.add_argument("--quant", choices=("none", "int8", "int4"), action="append")
    options = parser.parse_args()
    print(
        f"{'shape':16}{'files':>7}{'weights':>9}"
        f"{'file MiB':>10}{'held MiB':>10}{'peak MiB':>10}{'peak/file':>11}"
    )
    for shape in options.shape or SHAPES:
        for n_shards in (1, options.shards):
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "model"
                size = write(folder, SHAPES[shape], n_shards)
                for quant in options.quant or ["none"]:
                    before, peak, after = measure(folder, quant)
                    sizes = (size, after - before, peak - before)
                    mib = "".join(f"{value / 2**20:>10.1f}" for value in sizes)
                    kind = "bf16" if quant == "none" else quant
                    share = f"{(peak - before) / size:>11.3f}"
                    print(f"{shape:16}{n_shards:>7}{kind:>9}{mib}{share}", flush=True)


def measure(folder: Path, quant: str) -> list[int]:
    """What the child prints."""
    command = [sys.executable, "-c", CHILD, folder, quant]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
