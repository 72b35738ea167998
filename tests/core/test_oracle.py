"""Every family's forward pass against the reference implementation, past its attention window."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import OracleErrors
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
from tiny_models import LLAMA, random_weights, write_json

from llmcli.checkpoint.families import FAMILIES

LARGEST_ERROR = 2e-6

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LLAMA_SHAPES: dict[str, dict[str, Any]] = {
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

SIZES: dict[str, Any] = {
    "vocab_size": 160,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rope_theta": 10000.0,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOW = 7  # the prompt is far longer
LONGROPE = {
    "type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [1.5, 2.0, 3.0, 4.0],
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
GPT2 = {
    "vocab_size": 160,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def sized(model_type: str, **settings: Any) -> dict[str, Any]:
    return {"model_type": model_type, **SIZES, **settings}


CONFIGS: dict[str, dict[str, Any]] = {
    "mistral window": sized("mistral", sliding_window=WINDOW, head_dim=8),
    "mistral full": sized("mistral", sliding_window=None, head_dim=12),
    "qwen2": sized("qwen2", use_sliding_window=False, sliding_window=WINDOW),
    "qwen2 window": sized(
        "qwen2", use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "qwen2 yarn": sized("qwen2", rope_scaling=YARN, tie_word_embeddings=True),
    "qwen3": sized("qwen3", head_dim=16),
    "qwen3 bias": sized("qwen3", head_dim=16, attention_bias=True, tie_word_embeddings=True),
    "phi3": sized("phi3", sliding_window=WINDOW, tie_word_embeddings=False),
    "phi3 longrope": sized(
        "phi3", rope_scaling=LONGROPE, original_max_position_embeddings=16, sliding_window=99
    ),
    "phi3 partial": sized("phi3", partial_rotary_factor=0.75, tie_word_embeddings=True),
    "gemma": sized("gemma", head_dim=16, hidden_act="gelu_pytorch_tanh"),
    "gemma2": sized(
        "gemma2",
        head_dim=16,
        query_pre_attn_scalar=24,
        sliding_window=WINDOW,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0,
    ),
    "gemma3_text": sized(
        "gemma3_text",
        head_dim=16,
        query_pre_attn_scalar=24,
        sliding_window=WINDOW,
        rope_theta=100000.0,
        rope_local_base_freq=5000.0,
        rope_scaling={"rope_type": "linear", "factor": 4.0},
        sliding_window_pattern=2,
    ),
    "gpt2": {"model_type": "gpt2", **GPT2},
    "gpt2 inner untied": {
        "model_type": "gpt2",
        **GPT2,
        "n_inner": 40,
        "tie_word_embeddings": False,
        "activation_function": "relu",
    },
    "smollm3": sized("smollm3", no_rope_layer_interval=2),
    "smollm3 listed": sized("smollm3", no_rope_layers=[0, 1, 1], attention_bias=True),
    "olmo2": sized("olmo2"),
    "granite": sized(
        "granite",
        attention_multiplier=0.2,
        embedding_multiplier=3.0,
        residual_multiplier=0.5,
        logits_scaling=4.0,
        mlp_bias=True,
    ),
    "stablelm": sized("stablelm", use_qkv_bias=True, partial_rotary_factor=0.5),
    "starcoder2": sized("starcoder2", sliding_window=WINDOW),
}
CONFIGS |= {f"llama {name}": {**LLAMA, **shape} for name, shape in LLAMA_SHAPES.items()}


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_logits_equal_the_reference(name: str, tmp_path: Path, oracle_errors: OracleErrors) -> None:
    folder = write_model(tmp_path, CONFIGS[name])
    errors = logit_errors(load_ours(folder), load_reference(folder, torch.float64))
    oracle_errors[name] = errors
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
