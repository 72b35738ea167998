"""Folders of published shapes whose weights are a hole in the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.hollow import BYTES, Shape, llama_tensors, write_folder, write_hollow
from benchmarks.models import SMOLLM2_135M

__all__ = ["BYTES", "SMOLLM2_135M", "Shape", "llama_tensors", "write_hollow"]

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
    tensors = {name: (dtype, shape) for name, shape in llama_tensors(config)}
    tensors.update(changed or {})
    kept = [(name, *tensors[name]) for name in tensors if name not in without]
    return write_folder(folder, config, kept, n_shards)
