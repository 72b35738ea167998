"""Folders whose weights are a hole in the file: headers are whole, and an 8B model costs no disk.

Names and shapes are written out here, not taken from the package: tests hold it to them.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Shape = tuple[int, ...]
Tensor = tuple[str, str, Shape]  # name, dtype, shape
BYTES = {"F64": 8, "F32": 4, "I64": 8, "I32": 4, "I16": 2, "BF16": 2, "F16": 2, "U8": 1, "I8": 1}
BYTES |= {"F8_E4M3": 1}


def llama_tensors(config: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of a Llama checkpoint without biases, as published ones have them."""
    d_model, d_ff = config["hidden_size"], config["intermediate_size"]
    d_head = d_model // config["num_attention_heads"]
    d_kv = d_head * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", (config["vocab_size"], d_model)
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}"
        yield f"{block}.input_layernorm.weight", (d_model,)
        yield f"{block}.mlp.down_proj.weight", (d_model, d_ff)
        yield f"{block}.mlp.gate_proj.weight", (d_ff, d_model)
        yield f"{block}.mlp.up_proj.weight", (d_ff, d_model)
        yield f"{block}.post_attention_layernorm.weight", (d_model,)
        yield f"{block}.self_attn.k_proj.weight", (d_kv, d_model)
        yield f"{block}.self_attn.o_proj.weight", (d_model, d_model)
        yield f"{block}.self_attn.q_proj.weight", (d_model, d_model)
        yield f"{block}.self_attn.v_proj.weight", (d_kv, d_model)
    yield "model.norm.weight", (d_model,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], d_model)


def write_folder(
    folder: Path, config: Mapping[str, Any], tensors: Iterable[Tensor], n_shards: int = 1
) -> Path:
    """config.json and weights in `folder`, which is returned; with several shards, an index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    every = list(tensors)
    if n_shards == 1:
        write_hollow(folder / "model.safetensors", every)
        return folder
    ends = [-(-len(every) * number // n_shards) for number in range(n_shards + 1)]
    weight_map = {}
    for number in range(n_shards):
        file = f"model-{number + 1:05}-of-{n_shards:05}.safetensors"
        part = every[ends[number] : ends[number + 1]]
        write_hollow(folder / file, part)
        weight_map.update({name: file for name, *_ in part})
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    return folder


def write_hollow(path: Path, tensors: Iterable[Tensor]) -> Path:
    """A valid safetensors file, its header as compact as the library writes it."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, dtype, shape in tensors:
        start, end = end, end + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path
