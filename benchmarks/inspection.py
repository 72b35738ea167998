"""`llmcli inspect` as a whole process: one model's headers, a large model's, a million tensors.

The folders' headers are whole, and their numbers are holes that take no room on the disk.
"""

import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.page import table
from benchmarks.place import PYTHON, run, tell

Tensor = tuple[str, tuple[int, ...]]

SMOLLM2_135M = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
LLAMA3_70B = {
    "model_type": "llama",
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
    write(root / "small", SMOLLM2_135M, llama(SMOLLM2_135M), 1)
    write(root / "large", LLAMA3_70B, llama(LLAMA3_70B), 30)
    write(root / "many", {"model_type": "moe"}, experts(), 8)


def block(measured: dict[str, list[tuple[float, int]]], machine: str) -> str:
    rows = [["what", "median s", "fastest s", "peak MiB"]]
    for name, runs in measured.items():
        seconds = [took for took, _ in runs]
        peak = median(n_bytes for _, n_bytes in runs) / 2**20
        rows.append([name, f"{median(seconds):.2f}", f"{min(seconds):.2f}", f"{peak:.0f}"])
    rounds = len(next(iter(measured.values())))
    return f"{machine}. Interleaved rounds: {rounds}.\n\n{table(rows)}"


def llama(config: dict[str, object]) -> Iterator[Tensor]:
    d, d_ff, vocabulary = (
        int(str(config[key])) for key in ("hidden_size", "intermediate_size", "vocab_size")
    )
    heads, shared = (
        int(str(config[key])) for key in ("num_attention_heads", "num_key_value_heads")
    )
    d_kv = d // heads * shared
    yield "model.embed_tokens.weight", (vocabulary, d)
    for layer in range(int(str(config["num_hidden_layers"]))):
        block = f"model.layers.{layer}"
        yield f"{block}.input_layernorm.weight", (d,)
        yield f"{block}.mlp.down_proj.weight", (d, d_ff)
        yield f"{block}.mlp.gate_proj.weight", (d_ff, d)
        yield f"{block}.mlp.up_proj.weight", (d_ff, d)
        yield f"{block}.post_attention_layernorm.weight", (d,)
        yield f"{block}.self_attn.k_proj.weight", (d_kv, d)
        yield f"{block}.self_attn.o_proj.weight", (d, d)
        yield f"{block}.self_attn.q_proj.weight", (d, d)
        yield f"{block}.self_attn.v_proj.weight", (d_kv, d)
    yield "model.norm.weight", (d,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (vocabulary, d)


def experts() -> Iterator[Tensor]:
    """Layers of 1,000 experts, three matrices each, until there are a million."""
    for number in range(MILLION):
        layer, place = divmod(number, 3000)
        expert, matrix = divmod(place, 3)
        name = ("gate", "up", "down")[matrix]
        yield f"model.layers.{layer}.mlp.experts.{expert}.{name}_proj.weight", (8, 4)


def write(folder: Path, config: object, tensors: Iterator[Tensor], n_shards: int) -> Path:
    """A folder in bf16; with several shards, an index."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    every, places = list(tensors), {}
    ends = [len(every) * number // n_shards for number in range(n_shards + 1)]
    for number in range(n_shards):
        file = f"model-{number + 1:05}-of-{n_shards:05}.safetensors"
        if n_shards == 1:
            file = "model.safetensors"
        part = every[ends[number] : ends[number + 1]]
        write_hollow(folder / file, part)
        places.update(dict.fromkeys((name for name, _ in part), file))
    if n_shards > 1:
        index = {"metadata": {}, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def write_hollow(path: Path, tensors: list[Tensor]) -> None:
    header, end = {}, 0
    for name, shape in tensors:
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
