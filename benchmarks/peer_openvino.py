"""OpenVINO GenAI, in an environment and a process of its own: its rates as JSON on stdout.

    PYTHON -m benchmarks.peer_openvino FOLDER PRECISION THREADS

It keeps what it computed of earlier prompts, and skips the prefill of one that it has seen: every
request here has a prompt of its own.
"""

import json
import sys
from pathlib import Path

from benchmarks.place import CACHE, PYTHON, ROOT, run, tell
from benchmarks.workload import N_GENERATED, N_PROMPT, rates_by_test

PACKAGES = ("openvino-genai==2026.4.1.0", "optimum-intel==2.2.0", "nncf==3.4.0")
FORMATS = {
    "fp32": ("fp32",),
    "16 bit": ("fp16",),
    "int8": ("int8",),
    # All in groups of 64, which divide every width here; the head stays int8, as is the default.
    "int4": ("int4", "--sym", "--group-size", "64", "--ratio", "1.0"),
}


def environment() -> Path:
    """Its Python; installed into the cache on first use, apart from the tested environment."""
    folder = CACHE / "openvino"
    done = folder / "installed"
    if not done.exists():
        tell("Installing OpenVINO GenAI ...")
        folder.mkdir(parents=True, exist_ok=True)
        pins = (ROOT / "constraints.txt").read_text().splitlines()
        constraint = folder / "torch.txt"
        constraint.write_text("\n".join(pin for pin in pins if pin.startswith("torch==")))
        run([PYTHON, "-m", "venv", folder])
        pip = [folder / "bin/python", "-m", "pip"]
        run([*pip, "install", "--quiet", "--constraint", constraint, *PACKAGES])
        # A torchvision of another build than torch's breaks the import of transformers.
        run([*pip, "uninstall", "--quiet", "--yes", "torchvision"])
        done.touch()
    return folder / "bin/python"


def convert(folder: Path, precision: str) -> Path:
    """The folder in OpenVINO's own format, beside the original's weights."""
    converted = folder / f"openvino-{precision.replace(' ', '-')}"
    if not converted.exists():
        tell(f"Converting {folder.name} for OpenVINO, {precision} ...")
        unfinished = converted.with_suffix(".part")
        command = [environment().parent / "optimum-cli", "export", "openvino", "--model", folder]
        task = ["--task", "text-generation-with-past", "--weight-format", *FORMATS[precision]]
        run([*command, *task, unfinished])
        unfinished.rename(converted)
    return converted


def main(folder: Path, precision: str, threads: int) -> None:
    import numpy
    import openvino
    import openvino_genai

    options = {"INFERENCE_NUM_THREADS": threads}
    if precision == "fp32":  # else it may compute in 16 bit where the CPU can
        options["INFERENCE_PRECISION_HINT"] = "f32"
    pipe = openvino_genai.LLMPipeline(folder, "CPU", **options)
    config = json.loads((folder / "config.json").read_text())
    random = numpy.random.default_rng(0)

    def request(n_prompt: int, n_tokens: int) -> openvino_genai.PerfMetrics:
        settings = openvino_genai.GenerationConfig()
        settings.max_new_tokens, settings.ignore_eos = n_tokens, True
        settings.do_sample = False
        ids = random.integers(config["vocab_size"], size=(1, n_prompt))
        return pipe.generate(openvino.Tensor(ids), settings).perf_metrics

    request(N_PROMPT, 8)  # the warm-up
    deep, empty = request(N_PROMPT, N_GENERATED), request(1, N_GENERATED)
    rates = rates_by_test(
        N_PROMPT / deep.get_ttft().mean * 1e3,
        1e3 / empty.get_tpot().mean,
        1e3 / deep.get_tpot().mean,
    )
    version = f"OpenVINO GenAI {openvino_genai.__version__}"
    print(json.dumps({"rates": rates, "version": version}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
