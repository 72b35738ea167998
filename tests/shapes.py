"""Folders of published shapes whose weights are a hole in the file: an 8B model costs no disk.

The names and shapes are written out here, not taken from the package: they are what it is held to.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Shape = tuple[int, ...]
BYTES = {"F64": 8, "F32": 4, "I64": 8, "I32": 4, "I16": 2, "BF16": 2, "F16": 2, "U8": 1, "I8": 1}
BYTES |= {"F8_E4M3": 1}

SMOLLM2_135M: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
LLAMA3_8B: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
LLAMA2_7B: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
}
SMALL: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}


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


def write_shape(
    folder: Path,
    config: Mapping[str, Any],
    *,
    dtype: str = "BF16",
    n_shards: int = 1,
    without: tuple[str, ...] = (),
    changed: Mapping[str, tuple[str, Shape]] | None = None,
) -> Path:
    """config.json and weights of that shape in `folder`, which is returned.

    `changed` sets (dtype, shape) of tensors, or adds them; `without` leaves some out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {name: (dtype, shape) for name, shape in llama_tensors(config)}
    tensors.update(changed or {})
    kept = [(name, *tensors[name]) for name in tensors if name not in without]
    if n_shards == 1:
        write_hollow(folder / "model.safetensors", kept)
        return folder
    size = -(-len(kept) // n_shards)
    weight_map = {}
    for shard in range(n_shards):
        file = f"model-{shard + 1:05}-of-{n_shards:05}.safetensors"
        part = kept[shard * size : (shard + 1) * size]
        write_hollow(folder / file, part)
        weight_map.update({name: file for name, *_ in part})
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    return folder


def write_hollow(path: Path, tensors: list[tuple[str, str, Shape]]) -> Path:
    """A valid safetensors file whose header is real and whose numbers are a hole of zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, dtype, shape in tensors:
        start, end = end, end + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path
