"""Matrices packed as published checkpoints pack them, written from the layouts' descriptions alone.

Nothing here comes from the package: it is what the package's unpacking is held to.
- GPTQ: AutoGPTQ's `QuantLinear.pack`: values along the input dimension, zero points along the
  output, both in 32-bit words, the first value lowest; of 3 bits, 32 values in three words.
- AWQ: AutoAWQ's `WQLinear_GEMM.from_linear`: eight values to a word along the output dimension, in
  the order 0 2 4 6 1 3 5 7.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tiny_models import LLAMA, random_weights, write_json, write_tokenizer

QUANTIZED_LLAMA = {**LLAMA, "hidden_size": 64, "intermediate_size": 96}
PARTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def gptq_words(values: np.ndarray, bits: int) -> np.ndarray:
    """(n, width) -> (n * bits / 32, width), packed along the first dimension."""
    values = values.astype(np.uint64)
    rows = []
    if bits != 3:
        for first in range(0, len(values), 32 // bits):
            word = np.zeros(values.shape[1], np.uint64)
            for place in range(32 // bits):
                word |= values[first + place] << np.uint64(bits * place)
            rows.append(word)
    else:
        for first in range(0, len(values), 32):
            v = values[first : first + 32]
            # ten values and the two low bits of the eleventh; its high bit, ten values, the low
            # bit of the next; its two high bits and the last ten
            a = v[10] << np.uint64(30)
            b = (v[10] >> np.uint64(2)) | (v[21] << np.uint64(31))
            c = v[21] >> np.uint64(1)
            for place in range(10):
                a |= v[place] << np.uint64(3 * place)
                b |= v[11 + place] << np.uint64(3 * place + 1)
                c |= v[22 + place] << np.uint64(3 * place + 2)
            rows += [a, b, c]
    return (np.stack(rows) & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)


def awq_words(values: np.ndarray) -> np.ndarray:
    """(n, width) -> (n, width / 8), packed along the second dimension."""
    words = np.zeros((values.shape[0], values.shape[1] // 8), np.uint32)
    for column in range(words.shape[1]):
        for place, source in enumerate(AWQ_ORDER):
            words[:, column] |= values[:, 8 * column + source].astype(np.uint32) << (4 * place)
    return words.view(np.int32)


@dataclass
class PackedMatrix:
    """`tensors` as a file holds them, and the matrix (out, in) in fp32 that they stand for."""

    tensors: dict[str, torch.Tensor]
    dense: torch.Tensor


def random_matrix(
    quantization: dict[str, Any],
    rows: int,
    columns: int,
    seed: int,
    *,
    g_idx: np.ndarray | None = None,
) -> PackedMatrix:
    """Random whole numbers, zero points and scales, packed as `quantization_config` says."""
    random = np.random.default_rng(seed)
    method, bits = quantization["quant_method"], quantization["bits"]
    group = columns if quantization["group_size"] == -1 else quantization["group_size"]
    n_groups = -(-columns // group)
    codes = random.integers(0, 1 << bits, (columns, rows))
    zeros = random.integers(0, 1 << bits, (n_groups, rows))
    zeros[0, 0] = 0  # stored less one it wraps around
    if quantization.get("sym"):
        zeros[:] = 1 << (bits - 1)
    scales = (random.uniform(0.5, 1.5, (n_groups, rows)) / (columns**0.5 * (1 << bits))).astype(
        np.float16
    )
    stored_groups = np.arange(columns) // group if g_idx is None else g_idx
    dense = (codes - zeros[stored_groups]).astype(np.float32)
    dense = dense * scales[stored_groups].astype(np.float32)
    if method == "awq":
        tensors = {"qweight": awq_words(codes), "qzeros": awq_words(zeros), "scales": scales}
    else:
        less = 0 if quantization.get("checkpoint_format") == "gptq_v2" else 1
        stored = (zeros - less) % (1 << bits)
        tensors = {
            "qweight": gptq_words(codes, bits),
            "qzeros": gptq_words(np.ascontiguousarray(stored.T), bits).T,
            "scales": scales,
            "g_idx": stored_groups.astype(np.int32),
        }
    return PackedMatrix(
        {kind: torch.from_numpy(np.ascontiguousarray(array)) for kind, array in tensors.items()},
        torch.from_numpy(np.ascontiguousarray(dense.T)),
    )


def scattered_groups(columns: int, group_size: int, seed: int) -> np.ndarray:
    """A group for each column, every group of equal size, as `desc_act` leaves them."""
    group = columns if group_size == -1 else group_size
    return np.random.default_rng(seed).permutation(np.arange(columns) // group)


def gptq(bits: int = 4, group_size: int = 32, **more: Any) -> dict[str, Any]:
    return {"quant_method": "gptq", "bits": bits, "group_size": group_size, **more}


def awq(group_size: int = 32, **more: Any) -> dict[str, Any]:
    more = {"version": "gemm", "zero_point": True, **more}
    return {"quant_method": "awq", "bits": 4, "group_size": group_size, **more}


def write_twins(
    folder: Path,
    quantization: dict[str, Any],
    *,
    config: dict[str, Any] = QUANTIZED_LLAMA,
    plain: tuple[str, ...] = (),
    one_order: bool = True,
) -> tuple[Path, Path]:
    """Two folders of one random model: packed, and with the dequantized matrices stored plainly.

    Modules named in `plain` are not packed. Of a `desc_act` scheme modules that share an input
    share the order of its columns too, or, without `one_order`, none does.
    """
    weights = random_weights(config, seed=5)
    packed, dense = dict(weights), dict(weights)
    for seed, (name, weight) in enumerate(weights.items()):
        module, part = name.removesuffix(".weight"), name.split(".")[-2]
        if part not in PARTS or name.endswith(".bias") or part in plain:
            continue
        g_idx = None
        if quantization.get("desc_act"):
            order = weight.shape[1] if one_order else seed
            g_idx = scattered_groups(weight.shape[1], quantization["group_size"], order)
        matrix = random_matrix(quantization, *weight.shape, seed, g_idx=g_idx)
        del packed[name]
        packed |= {f"{module}.{kind}": tensor for kind, tensor in matrix.tensors.items()}
        dense[name] = matrix.dense
    folders = folder / "packed", folder / "dense"
    for where, tensors, more in (
        (folders[0], packed, {"quantization_config": quantization}),
        (folders[1], dense, {}),
    ):
        where.mkdir()
        write_json(where / "config.json", {**config, **more})
        save_file(tensors, where / "model.safetensors", {"format": "pt"})
        write_tokenizer(where, config["vocab_size"], chat=True)
    return folders
