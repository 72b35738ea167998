"""Packed checkpoints: every value of every published layout arrives, and the model computes with it
as with the same numbers stored plainly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracle import load_ours, random_ids
from packed import (
    QUANTIZED_LLAMA,
    PackedMatrix,
    awq,
    gptq,
    random_matrix,
    scattered_groups,
    write_twins,
)
from safetensors.torch import load_file, save_file
from tiny_models import random_weights, write_json
from torch import Tensor

from llmcli.checkpoint.config_json import describe
from llmcli.checkpoint.headers import read_folder
from llmcli.checkpoint.layout import check_tensors
from llmcli.checkpoint.quantization import Packing
from llmcli.checkpoint.quantized import build_linear, unpack
from llmcli.core import kernels
from llmcli.core.linear import AnyLinear, JoinedLinear, Linear, QuantizedLinear
from llmcli.core.model import Decoder
from llmcli.errors import InvalidModelError

CPU = torch.device("cpu")
ROWS, COLUMNS = 96, 64


def packing(quantization: dict[str, Any], rows: int = ROWS, columns: int = COLUMNS) -> Packing:
    raw = {"model_type": "llama", "quantization_config": quantization}
    scheme = describe(raw, Path("config.json")).scheme
    assert scheme is not None
    return Packing(scheme, rows, columns)


def build(quantization: dict[str, Any], *matrices: PackedMatrix) -> AnyLinear:
    parts = []
    for matrix in matrices:
        how = packing(quantization, *matrix.dense.shape)
        assert {kind: tuple(tensor.shape) for kind, tensor in matrix.tensors.items()} == dict(
            how.shapes()
        )
        parts.append(unpack("m", matrix.tensors, how, torch.float32))
    return build_linear(parts, None, CPU)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group_size", [32, -1])
@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("desc_act", [True, False])
@pytest.mark.parametrize("checkpoint_format", ["gptq", "gptq_v2"])
def test_gptq_round_trip(
    bits: int, group_size: int, sym: bool, desc_act: bool, checkpoint_format: str
) -> None:
    quantization = gptq(
        bits, group_size, sym=sym, desc_act=desc_act, checkpoint_format=checkpoint_format
    )
    g_idx = scattered_groups(COLUMNS, group_size, seed=3) if desc_act else None
    matrix = random_matrix(quantization, ROWS, COLUMNS, seed=bits, g_idx=g_idx)
    linear = build(quantization, matrix)
    assert isinstance(linear, QuantizedLinear)
    assert torch.equal(linear.dequantize(), matrix.dense)
    x = torch.randn(2, 5, COLUMNS, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(linear(x), x @ matrix.dense.T)


@pytest.mark.parametrize(
    ("group_size", "kind"), [(32, QuantizedLinear), (16, Linear), (-1, QuantizedLinear)]
)
def test_awq_round_trip(group_size: int, kind: type) -> None:
    """Groups that are no whole runs of 32 columns are held dequantized."""
    matrix = random_matrix(awq(group_size), ROWS, COLUMNS, seed=7)
    linear = build(awq(group_size), matrix)
    assert isinstance(linear, kind)
    assert torch.equal(linear.dequantize(), matrix.dense)


def test_one_value_lies_where_the_layouts_say() -> None:
    """By hand: value 5 in column 9, row 3 alone."""
    codes = {"qweight": torch.zeros(COLUMNS // 8, ROWS, dtype=torch.int32)}
    codes["qweight"][1, 3] = 5 << 4  # the second word's second nibble
    codes["qzeros"] = torch.zeros(1, ROWS // 8, dtype=torch.int32)
    codes["scales"] = torch.ones(1, ROWS)
    v2 = packing(gptq(4, -1, sym=False, checkpoint_format="gptq_v2"))
    linear = build_linear([unpack("m", codes, v2, torch.float32)], None, CPU)
    assert linear.dequantize().nonzero().tolist() == [[3, 9]]
    assert linear.dequantize()[3, 9] == 5
    codes["qweight"] = torch.zeros(COLUMNS, ROWS // 8, dtype=torch.int32)
    codes["qweight"][9, 0] = 5 << 20  # the sixth place of eight, which is the fourth row's
    linear = build_linear([unpack("m", codes, packing(awq(-1)), torch.float32)], None, CPU)
    assert linear.dequantize().nonzero().tolist() == [[3, 9]]


@pytest.mark.parametrize("bits", [2, 4])
def test_symmetric_files_may_store_true_zeros_under_the_old_name(bits: int) -> None:
    matrix = random_matrix(gptq(bits, sym=True, checkpoint_format="gptq_v2"), ROWS, COLUMNS, seed=2)
    linear = build(gptq(bits, sym=True, checkpoint_format="gptq"), matrix)
    assert torch.equal(linear.dequantize(), matrix.dense)


def test_groups_of_unequal_size_are_held_dequantized() -> None:
    g_idx = np.random.default_rng(4).integers(0, 2, COLUMNS)
    quantization = gptq(4, 32, sym=False, desc_act=True)
    matrix = random_matrix(quantization, ROWS, COLUMNS, seed=8, g_idx=g_idx)
    linear = build(quantization, matrix)
    assert isinstance(linear, Linear)
    assert torch.equal(linear.dequantize(), matrix.dense)


@pytest.mark.parametrize(("group_size", "kind"), [(32, QuantizedLinear), (48, Linear)])
def test_a_short_last_group(group_size: int, kind: type) -> None:
    quantization = gptq(8, group_size, sym=False)
    matrix = random_matrix(quantization, ROWS, COLUMNS + 16, seed=8)
    linear = build(quantization, matrix)
    assert isinstance(linear, kind)
    assert torch.equal(linear.dequantize(), matrix.dense)
    x = torch.randn(9, COLUMNS + 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(linear(x), x @ matrix.dense.T)


def test_a_group_wider_than_the_matrix_is_the_whole_row() -> None:
    quantization = gptq(4, 128, sym=False)
    matrix = random_matrix(quantization, ROWS, COLUMNS, seed=8)
    linear = build(quantization, matrix)
    assert isinstance(linear, QuantizedLinear)
    assert torch.equal(linear.dequantize(), matrix.dense)


@pytest.mark.parametrize("one_order", [True, False])
def test_fused_parts_share_one_map_where_they_share_an_order(one_order: bool) -> None:
    quantization = gptq(4, 32, sym=False, desc_act=True)
    matrices = [
        random_matrix(
            quantization,
            rows,
            COLUMNS,
            seed=rows,
            g_idx=scattered_groups(COLUMNS, 32, 1 if one_order else rows),
        )
        for rows in (64, 32, 96)
    ]
    linear = build(quantization, *matrices)
    assert type(linear) is (QuantizedLinear if one_order else JoinedLinear)
    dense = torch.cat([matrix.dense for matrix in matrices])
    assert torch.equal(linear.dequantize(), dense)
    x = torch.randn(3, COLUMNS, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(linear(x), x @ dense.T)


TWINS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gptq": (gptq(4, 32, sym=True), {}),
    "gptq 3 bit": (gptq(3, -1, sym=False), {}),
    "gptq act order": (gptq(8, 32, desc_act=True, sym=False), {}),
    "gptq other orders": (gptq(2, 32, desc_act=True, sym=False), {"one_order": False}),
    "gptq some plain": (gptq(4, 32), {"plain": ("k_proj", "down_proj")}),
    "awq": (awq(32), {}),
    "awq bias": (awq(-1), {"config": {**QUANTIZED_LLAMA, "model_type": "qwen2"}}),
    "awq bias some plain": (
        awq(32, modules_to_not_convert=["q_proj"]),
        {"config": {**QUANTIZED_LLAMA, "model_type": "qwen2"}, "plain": ("q_proj",)},
    ),
}


def assert_same_logits(packed: Decoder, dense: Decoder, ids: Tensor) -> None:
    """By torch the same; by the kernels but for inputs in steps of 1 / 32767 of their largest."""
    expected, before = dense(ids), kernels.chosen()
    error = (packed(ids) - expected).abs().max() / expected.abs().max()
    assert error < 2e-4
    kernels.use("torch")
    try:
        torch.testing.assert_close(packed(ids), expected)
    finally:
        kernels.use(before)


@pytest.mark.parametrize("name", TWINS)
@torch.inference_mode()
def test_logits_equal_those_of_the_dequantized_twin(name: str, tmp_path: Path) -> None:
    quantization, how = TWINS[name]
    packed, dense = map(load_ours, write_twins(tmp_path, quantization, **how))
    ids = random_ids(dense, 2, 12, seed=3)
    assert_same_logits(packed, dense, ids)
    joined = "plain" in how or "one_order" in how
    assert type(packed.blocks[1].attn.qkv) is (JoinedLinear if joined else QuantizedLinear)
    half = load_ours(tmp_path / "packed", torch.bfloat16)
    assert half(ids).isfinite().all()
    qkv = half.blocks[0].attn.qkv
    states = torch.ones(1, qkv.in_features, dtype=torch.bfloat16)
    assert qkv(states).dtype == torch.bfloat16
    # The numbers stay those of the file, whatever is computed in.
    kept = half.blocks[1].mlp.gate_up
    assert torch.equal(kept.dequantize(), packed.blocks[1].mlp.gate_up.dequantize())


@torch.inference_mode()
def test_conv1d_modules_are_packed_as_linear_ones_are(tmp_path: Path) -> None:
    config = {
        "model_type": "gpt2",
        "vocab_size": 96,
        "n_embd": 32,
        "n_layer": 1,
        "n_head": 2,
        "n_positions": 32,
    }
    quantization, weights = gptq(4, 32, sym=False), random_weights(config, seed=1)
    packed = dict(weights)
    for seed, name in enumerate(weights):
        if ".c_" in name and name.endswith(".weight"):
            matrix = random_matrix(quantization, *weights[name].T.shape, seed)
            weights[name] = matrix.dense.T.contiguous()
            del packed[name]
            stem = name.removesuffix("weight")
            packed |= {stem + kind: tensor for kind, tensor in matrix.tensors.items()}
    for folder, tensors, more in (
        (tmp_path / "packed", packed, {"quantization_config": quantization}),
        (tmp_path / "dense", weights, {}),
    ):
        folder.mkdir()
        write_json(folder / "config.json", {**config, **more})
        save_file(tensors, folder / "model.safetensors")
    ours, dense = load_ours(tmp_path / "packed"), load_ours(tmp_path / "dense")
    ids = random_ids(dense, 1, 9, seed=3)
    assert_same_logits(ours, dense, ids)


@torch.inference_mode()
def test_a_packed_head_and_fused_modules(tmp_path: Path) -> None:
    config = {
        **QUANTIZED_LLAMA,
        "model_type": "phi3",
        "tie_word_embeddings": False,
        "pad_token_id": 0,
    }
    quantization, weights = gptq(4, 32, sym=False, lm_head=True), random_weights(config, seed=1)
    packed = dict(weights)
    for seed, name in enumerate(weights):
        if "_proj" in name or "lm_head" in name:
            matrix = random_matrix(quantization, *weights[name].shape, seed)
            weights[name] = matrix.dense
            del packed[name]
            stem = name.removesuffix("weight")
            packed |= {stem + kind: tensor for kind, tensor in matrix.tensors.items()}
    for folder, tensors, more in (
        (tmp_path / "packed", packed, {"quantization_config": quantization}),
        (tmp_path / "dense", weights, {}),
    ):
        folder.mkdir()
        write_json(folder / "config.json", {**config, **more})
        save_file(tensors, folder / "model.safetensors")
    ours, dense = load_ours(tmp_path / "packed"), load_ours(tmp_path / "dense")
    assert isinstance(ours.head, QuantizedLinear)
    ids = random_ids(dense, 1, 9, seed=3)
    assert_same_logits(ours, dense, ids)


@torch.inference_mode()
def test_groups_may_be_left_out_and_idle_biases_stored(tmp_path: Path) -> None:
    folder, _ = write_twins(tmp_path, gptq(4, 32))
    whole = load_ours(folder)
    tensors = load_file(folder / "model.safetensors")
    fewer = {name: tensor for name, tensor in tensors.items() if "g_idx" not in name}
    fewer["model.layers.0.self_attn.o_proj.bias"] = torch.zeros(64)
    save_file(fewer, folder / "model.safetensors")
    ids = random_ids(whole, 1, 9, seed=3)
    assert torch.equal(load_ours(folder)(ids), whole(ids))


def test_weights_stay_packed_in_memory(tmp_path: Path) -> None:
    packed, dense = map(load_ours, write_twins(tmp_path, gptq(4, 32)))
    ours, plain = packed.blocks[0].mlp.gate_up, dense.blocks[0].mlp.gate_up
    n_values = 2 * 96 * 64
    assert plain.nbytes == 4 * n_values
    # half a byte each; per group of 32 a zero point of a byte and a scale of two
    assert ours.nbytes == n_values // 2 + n_values // 32 * 3
    x = torch.ones(1, 64)
    ours(x)
    assert ours.nbytes == n_values // 2 + n_values // 32 * 3


Q_PROJ = "model.layers.1.self_attn.q_proj"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qzeros": None}, f"{Q_PROJ}.qzeros is missing"),
        ({"scales": None}, f"{Q_PROJ}.scales is missing"),
        ({"g_idx": None}, f"{Q_PROJ}.g_idx is missing"),
        ({"qweight": torch.zeros(9, 64, dtype=torch.int32)}, rf"{Q_PROJ}.qweight is \[9, 64\]"),
        ({"qweight": torch.zeros(8, 64)}, f"{Q_PROJ}.qweight has dtype F32, not I32"),
        ({"scales": torch.zeros(2, 64, dtype=torch.int32)}, f"{Q_PROJ}.scales has dtype I32"),
        ({"qzeros": torch.zeros(1, 8, dtype=torch.int32)}, rf"{Q_PROJ}.qzeros is \[1, 8\]"),
    ],
)
def test_damage_that_headers_show(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder, _ = write_twins(tmp_path, gptq(4, 32, desc_act=True))
    tensors = load_file(folder / "model.safetensors")
    for kind, tensor in change.items():
        del tensors[f"{Q_PROJ}.{kind}"]
        if tensor is not None:
            tensors[f"{Q_PROJ}.{kind}"] = tensor
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InvalidModelError, match=message):
        load_ours(folder)


@pytest.mark.parametrize("group", [-1, 2, 2**31 - 1])
def test_groups_that_are_not_there(tmp_path: Path, group: int) -> None:
    folder, _ = write_twins(tmp_path, gptq(4, 32, desc_act=True))
    tensors = load_file(folder / "model.safetensors")
    tensors[f"{Q_PROJ}.g_idx"][5] = group
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InvalidModelError, match=f"{Q_PROJ}.g_idx names group {group}, and"):
        load_ours(folder)


def test_packed_files_without_a_scheme(tmp_path: Path) -> None:
    folder, _ = write_twins(tmp_path, gptq(4, 32))
    write_json(folder / "config.json", QUANTIZED_LLAMA)
    with pytest.raises(
        InvalidModelError, match=r"q_proj.weight is missing.*hold.*qweight"
    ) as error:
        load_ours(folder)
    assert "quantization_config" in str(error.value.hint)


def test_a_matrix_that_the_layout_has_no_place_for(tmp_path: Path) -> None:
    config = {**QUANTIZED_LLAMA, "num_key_value_heads": 1, "quantization_config": gptq(3, 32)}
    description = describe(config, Path("config.json"))
    folder, _ = write_twins(tmp_path, gptq(4, 32))
    with pytest.raises(InvalidModelError, match="k_proj: 16 x 64 cannot be packed in 3 bit"):
        check_tensors(
            description.family,
            description.config,
            read_folder(folder),
            scheme=description.scheme,
        )
