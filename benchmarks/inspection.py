"""`llmcli inspect` as a whole process: one model's headers, a large model's, a million tensors.

The folders' headers are whole, and their numbers are holes that take no room on the disk.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.hollow import Tensor, llama_tensors, write_folder
from benchmarks.models import LLAMA, SMOLLM2_135M
from benchmarks.page import table
from benchmarks.place import PYTHON, run, tell

LLAMA3_70B = {
    **LLAMA,
    "vocab_size": 128256,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}
MILLION = 1_000_000
FOLDERS = {
    "SmolLM2-135M: 272 tensors": "small",
    "70B: 723 tensors, 30 shards": "large",
    "a million tensors, 8 shards": "many",
}


def measure(rounds: int) -> dict[str, list[tuple[float, int]]]:
    """Seconds and peak bytes of each run, in turn. One round before them warms the page cache."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        # In a process of its own: what it takes would count into the peaks of those that follow.
        run([PYTHON, "-m", "benchmarks.inspection", root])
        measured: dict[str, list[tuple[float, int]]] = {name: [] for name in FOLDERS}
        for number in range(rounds + 1):
            for name, folder in FOLDERS.items():
                start = perf_counter()
                done = run([PYTHON, "-m", "llmcli", "inspect", root / folder])
                took = perf_counter() - start
                tell(f"inspect, round {number}/{rounds}: {name} {took:.2f} s")
                if number:
                    measured[name].append((took, done.peak_rss_bytes))
        return measured


def make(root: Path) -> None:
    write_folder(root / "small", SMOLLM2_135M, llama(SMOLLM2_135M))
    write_folder(root / "large", LLAMA3_70B, llama(LLAMA3_70B), 30)
    write_folder(root / "many", {"model_type": "moe"}, experts(), 8)


def block(measured: dict[str, list[tuple[float, int]]], machine: str) -> str:
    rows = [["what", "median s", "fastest s", "peak MiB"]]
    for name, runs in measured.items():
        seconds = [took for took, _ in runs]
        peak = median(n_bytes for _, n_bytes in runs) / 2**20
        rows.append([name, f"{median(seconds):.2f}", f"{min(seconds):.2f}", f"{peak:.0f}"])
    rounds = len(next(iter(measured.values())))
    return f"{machine}. Interleaved rounds: {rounds}.\n\n{table(rows)}"


def llama(config: Mapping[str, Any]) -> Iterator[Tensor]:
    return ((name, "BF16", shape) for name, shape in llama_tensors(config))


def experts() -> Iterator[Tensor]:
    """Layers of 1,000 experts, three matrices each, until there are a million."""
    for number in range(MILLION):
        layer, place = divmod(number, 3000)
        expert, matrix = divmod(place, 3)
        name = ("gate", "up", "down")[matrix]
        yield f"model.layers.{layer}.mlp.experts.{expert}.{name}_proj.weight", "BF16", (8, 4)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
