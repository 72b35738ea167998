"""What a model takes in memory, told without torch, is what torch then holds, to the byte."""

from pathlib import Path
from typing import Any

import pytest
import torch
from family_configs import CONFIGS
from oracle import load_ours, write_model
from packed import awq, gptq, write_twins

from llmcli.checkpoint.config_json import read_description
from llmcli.checkpoint.headers import read_folder
from llmcli.checkpoint.layout import Expected, expected_among, rounded
from llmcli.checkpoint.quantization import OWN, Quant
from llmcli.checkpoint.resident import held, kept_narrow, resident_bytes
from llmcli.core import ops
from llmcli.core.model import Decoder


def expected_of(folder: Path, quant: Quant = "none") -> list[Expected]:
    description = read_description(folder)
    family, config = description.family, description.config
    plain = expected_among(family, config, read_folder(folder), description.scheme)
    if quant == "none":
        return plain
    return [rounded(tensor, OWN[quant], tied=config.tied) for tensor in plain]


def held_by(decoder: Decoder) -> int:
    return sum(tensor.nbytes for tensor in (*decoder.parameters(), *decoder.buffers()))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_family_in_every_precision(name: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIGS[name])
    for dtype in (torch.float32, torch.bfloat16):
        for quant in ("none", "int8", "int4"):
            told = resident_bytes(expected_of(folder, quant), dtype.itemsize)
            assert told == held_by(load_ours(folder, dtype, quant)), (dtype, quant)


@pytest.mark.parametrize("name", ["llama gqa", "gpt2", "qwen2", "gemma3_text"])
@pytest.mark.parametrize("quant", ["none", "int4"])
def test_matrices_that_stay_in_bf16(name: str, quant: Quant, tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIGS[name], torch.bfloat16)
    expected = expected_of(folder, quant)
    narrow = kept_narrow(expected, read_folder(folder))
    left_plain = quant == "none" or name in ("gpt2", "qwen2")  # positions; a table that is not tied
    assert bool(narrow) == left_plain
    widens = ops.widens(torch.device("cpu"), torch.float32)
    told = resident_bytes(expected, 4, narrow if widens else ())
    assert told == held_by(load_ours(folder, torch.float32, quant))


@pytest.mark.parametrize(
    "quantization",
    [gptq(4, 32), gptq(3, -1), gptq(8, 32, desc_act=True), awq(32)],
    ids=["gptq 4", "gptq 3 rows", "gptq 8 act order", "awq"],
)
def test_packed_models(quantization: dict[str, Any], tmp_path: Path) -> None:
    folder, _ = write_twins(tmp_path, quantization)
    told = resident_bytes(expected_of(folder), 4)
    assert told == held_by(load_ours(folder))


def test_what_is_held_is_told_by_kind(tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIGS["llama gqa"])
    parts = list(held(expected_of(folder, "int4"), 2))
    bits = {(part.component, part.form): part.bits for part in parts}
    assert bits == {
        ("embeddings", "codes"): 8,
        ("embeddings", "scales"): 16,
        ("norms", "plain"): 32,
        ("attention", "codes"): 4,
        ("attention", "scales"): 16,
        ("mlp", "codes"): 4,
        ("mlp", "scales"): 16,
    }
    attention = sum(p.values for p in parts if (p.component, p.form) == ("attention", "codes"))
    assert attention == 2 * (32 * 32 + 2 * 16 * 32 + 32 * 32)
