"""Every family's forward pass against the reference implementation, past its attention window."""

from pathlib import Path

import pytest
import torch
from conftest import OracleErrors
from family_configs import CONFIGS
from oracle import (
    ReferenceSteps,
    greedy,
    load_ours,
    load_reference,
    logit_errors,
    random_ids,
    write_model,
)
from safetensors.torch import save_file
from tiny_models import random_weights, write_json

from llmcli.checkpoint.families import FAMILIES
from llmcli.core import kernels

# Sums in fp32, added up in another order by each instruction set.
LARGEST_ERROR = 4e-6


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_logits_equal_the_reference(name: str, tmp_path: Path, oracle_errors: OracleErrors) -> None:
    folder = write_model(tmp_path, CONFIGS[name])
    errors = logit_errors(load_ours(folder), load_reference(folder, torch.float64))
    oracle_errors[name] = errors
    assert max(errors.values()) < LARGEST_ERROR, errors


@pytest.mark.parametrize("way", kernels.available())
@pytest.mark.parametrize("name", ["llama gqa", "llama untied", "gemma2", "gpt2", "qwen2", "phi3"])
@torch.inference_mode()
def test_fp32_loses_nothing_where_weights_stay_in_bf16(name: str, way: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIGS[name], torch.bfloat16)
    reference = load_reference(folder, torch.float64)
    ours = load_ours(folder)
    matrices = [held for held in ours.state_dict().values() if held.dim() == 2]
    assert {held.dtype for held in matrices} == {
        torch.float32 if kernels.chosen() == "torch" else torch.bfloat16
    }
    assert ours.dtype == torch.float32
    before = kernels.chosen()
    kernels.use(way)  # torch among them: whoever differentiates goes there
    try:
        errors = logit_errors(ours, reference)
    finally:
        kernels.use(before)
    assert max(errors.values()) < LARGEST_ERROR, errors


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_greedy_tokens_equal_the_reference(name: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIGS[name])
    ours, reference = load_ours(folder), load_reference(folder, torch.float32)
    prompt, cache = random_ids(ours, 1, 9, seed=3), ours.new_cache()
    mine = greedy(lambda ids: ours(ids, cache), prompt, 64)
    assert mine == greedy(ReferenceSteps(reference), prompt, 64)


@pytest.mark.parametrize(
    "name",
    [
        *(f"llama {shape}" for shape in ("gqa", "mqa", "untied", "mlp-bias", "rope-llama3")),
        "gemma2",
        "gemma3_text",
        "qwen3",
        "gpt2",
    ],
)
@torch.inference_mode()
def test_bf16_errs_no_more_than_the_reference_itself(name: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIGS[name])
    ours = load_ours(folder, torch.bfloat16)
    ids = random_ids(ours, 8, 40, seed=4)
    truth = load_reference(folder, torch.float32)(ids).logits
    theirs = load_reference(folder, torch.bfloat16)(ids).logits.float()
    our_error = (ours(ids) - truth).pow(2).mean().sqrt()
    their_error = (theirs - truth).pow(2).mean().sqrt()
    assert their_error > 0
    assert our_error <= 1.05 * their_error


def test_every_family_is_held_against_the_reference() -> None:
    assert {config["model_type"] for config in CONFIGS.values()} == set(FAMILIES)


@torch.inference_mode()
def test_gpt2_without_its_prefix_and_with_its_mask_buffers(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "full", CONFIGS["gpt2"])
    weights = random_weights(CONFIGS["gpt2"], seed=1)
    bare = {name.removeprefix("transformer."): tensor for name, tensor in weights.items()}
    for layer in range(3):
        bare[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 128, 128).tril()
        bare[f"h.{layer}.attn.masked_bias"] = torch.tensor(-10000.0)
    (tmp_path / "bare").mkdir()
    write_json(tmp_path / "bare" / "config.json", CONFIGS["gpt2"])
    save_file(bare, tmp_path / "bare" / "model.safetensors")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(load_ours(tmp_path / "bare")(ids), load_ours(folder)(ids))
