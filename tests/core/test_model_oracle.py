"""The forward pass against the reference implementation, on small random models of many shapes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import OracleErrors
from safetensors.torch import save_file
from tiny_models import LLAMA, random_weights, write_json
from transformers import LlamaForCausalLM

from llmcli.checkpoint.config_json import read_description
from llmcli.checkpoint.headers import read_folder
from llmcli.checkpoint.layout import check_tensors
from llmcli.checkpoint.weights import load_decoder
from llmcli.core.model import Decoder

LARGEST_ERROR = 2e-6

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
SHAPES: dict[str, dict[str, Any]] = {
    "gqa": {},
    "mha": {"num_key_value_heads": 4},
    "mha-by-absence": {"num_key_value_heads": None},
    "mqa": {"num_key_value_heads": 1},
    "untied": {"tie_word_embeddings": False},
    "attention-bias": {"attention_bias": True},
    "mlp-bias": {"mlp_bias": True, "attention_bias": True, "tie_word_embeddings": False},
    "head-dim-set": {"head_dim": 24},
    "three-layers-nine-heads": {
        "num_hidden_layers": 3,
        "hidden_size": 72,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
    "eps-theta-activation": {"rms_norm_eps": 1e-3, "rope_theta": 500.0, "hidden_act": "gelu"},
    "rope-linear": {"rope_scaling": {"type": "linear", "factor": 3.0}},
    "rope-dynamic": {
        "rope_scaling": {"type": "dynamic", "factor": 4.0},
        "max_position_embeddings": 16,
    },
    "rope-llama3": {"rope_scaling": LLAMA3, "max_position_embeddings": 256},
    "rope-v5-linear": {
        "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 2000.0},
        "rope_theta": None,
    },
}


def make_pair(
    folder: Path, overrides: dict[str, Any], dtype: torch.dtype = torch.float32
) -> tuple[Decoder, LlamaForCausalLM]:
    """The same folder of random weights, loaded by the project and by the reference."""
    config = {key: value for key, value in {**LLAMA, **overrides}.items() if value is not None}
    write_json(folder / "config.json", config)
    save_file(random_weights(config, seed=1), folder / "model.safetensors", {"format": "pt"})
    description = read_description(folder)
    headers = read_folder(folder)
    expected, unclaimed = check_tensors(description.family, description.config, headers)
    assert unclaimed == []
    ours = load_decoder(
        folder, headers, expected, description.config, dtype=dtype, device=torch.device("cpu")
    )
    return ours, load_reference(folder, dtype)


def load_reference(folder: Path, dtype: torch.dtype) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def steps_of(decoder: Decoder, ids: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    """Logits of every position, computed over a cache in pieces of the given lengths."""
    cache = decoder.new_cache(batch=ids.shape[0])
    return torch.cat([decoder(part, cache) for part in ids.split(cuts, dim=1)], dim=1)


def reference_steps(model: LlamaForCausalLM, ids: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    past, logits = None, []
    for part in ids.split(cuts, dim=1):
        result = model(part, past_key_values=past, use_cache=True)
        past = result.past_key_values
        logits.append(result.logits)
    return torch.cat(logits, dim=1)


@pytest.mark.parametrize("shape", SHAPES)
@torch.inference_mode()
def test_logits_equal_the_reference(
    shape: str, tmp_path: Path, oracle_errors: OracleErrors
) -> None:
    ours, theirs = make_pair(tmp_path, SHAPES[shape])
    ids = torch.randint(0, 320, (2, 40), generator=torch.Generator().manual_seed(2))
    # Dynamic scaling looks at the length of each pass, so pieces are held against pieces; and the
    # reference remembers the longest pass until one within the original context resets it.
    chunks, decoding = [13, 20, 7], [8] + [1] * 32
    whole = theirs(ids).logits
    errors = {
        "prefill": relative_error(ours(ids), whole),
        "chunked": relative_error(
            steps_of(ours, ids, chunks), reference_steps(theirs, ids, chunks)
        ),
        "cached": relative_error(
            steps_of(ours, ids, decoding), reference_steps(theirs, ids, decoding)
        ),
        "tapped": relative_error(ours(ids, tap=lambda _, value: value), whole),
    }
    oracle_errors[f"llama {shape}"] = errors
    assert max(errors.values()) < LARGEST_ERROR, errors


@pytest.mark.parametrize("shape", SHAPES)
@torch.inference_mode()
def test_greedy_tokens_equal_the_reference(shape: str, tmp_path: Path) -> None:
    ours, theirs = make_pair(tmp_path, SHAPES[shape])
    prompt = torch.randint(0, 320, (1, 9), generator=torch.Generator().manual_seed(3))
    mine, reference = [], []
    cache, past, ids = ours.new_cache(), None, prompt
    for _ in range(64):
        mine.append(int(ours(ids, cache)[0, -1].argmax()))
        ids = torch.tensor([[mine[-1]]])
    ids = prompt
    for _ in range(64):
        result = theirs(ids, past_key_values=past, use_cache=True)
        past = result.past_key_values
        reference.append(int(result.logits[0, -1].argmax()))
        ids = torch.tensor([[reference[-1]]])
    assert mine == reference


@pytest.mark.parametrize("shape", ["gqa", "mqa", "untied", "mlp-bias", "rope-llama3"])
@torch.inference_mode()
def test_bf16_errs_no_more_than_the_reference_itself(shape: str, tmp_path: Path) -> None:
    ours, theirs = make_pair(tmp_path, SHAPES[shape], torch.bfloat16)
    exact = load_reference(tmp_path, torch.float32)
    ids = torch.randint(0, 320, (4, 40), generator=torch.Generator().manual_seed(4))
    truth = exact(ids).logits
    our_error = (ours(ids) - truth).pow(2).mean().sqrt()
    their_error = (theirs(ids).logits.float() - truth).pow(2).mean().sqrt()
    assert their_error > 0
    assert our_error <= 1.05 * their_error


@torch.inference_mode()
def test_a_tied_head_stored_twice_is_read_once(tmp_path: Path) -> None:
    config = {**LLAMA, "tie_word_embeddings": True}
    weights = random_weights(config, seed=5)
    weights["lm_head.weight"] = torch.randn(320, 32)
    write_json(tmp_path / "config.json", config)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    description = read_description(tmp_path)
    headers = read_folder(tmp_path)
    expected, unclaimed = check_tensors(description.family, description.config, headers)
    assert unclaimed == []
    assert "lm_head.weight" not in {tensor.name for tensor in expected}
