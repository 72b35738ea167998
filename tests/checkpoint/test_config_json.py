"""config.json, raw, in both spellings: the same sizes, and a named refusal of what is not meant."""

from pathlib import Path
from typing import Any

import pytest

from llmcli.checkpoint.config_json import describe
from llmcli.core.config import Rope
from llmcli.errors import InvalidModelError

FILE = Path("folder/config.json")

# As published: HuggingFaceTB/SmolLM2-135M and meta-llama/Llama-3.2-1B (sizes and rope).
SMOLLM2_135M: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "silu",
    "hidden_size": 576,
    "initializer_range": 0.041666666666666664,
    "intermediate_size": 1536,
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_interleaved": False,
    "rope_scaling": None,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.1",
    "use_cache": True,
    "vocab_size": 49152,
}
LLAMA_32_1B: dict[str, Any] = {
    "attention_bias": False,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 16,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}


def v5(v4: dict[str, Any]) -> dict[str, Any]:
    """The same settings as version 5 of the reference library writes them."""
    new = {k: v for k, v in v4.items() if k not in ("rope_theta", "rope_scaling", "torch_dtype")}
    scaling = v4.get("rope_scaling") or {"rope_type": "default"}
    new["rope_parameters"] = {**scaling, "rope_theta": v4["rope_theta"]}
    new["dtype"] = v4["torch_dtype"]
    return new


def changed(**settings: Any) -> dict[str, Any]:
    return {**SMOLLM2_135M, **settings}


@pytest.mark.parametrize("raw", [SMOLLM2_135M, LLAMA_32_1B], ids=["smollm2", "llama-3.2"])
def test_both_spellings_read_the_same(raw: dict[str, Any]) -> None:
    assert describe(raw, FILE) == describe(v5(raw), FILE)


@pytest.mark.parametrize(
    "scaling",
    [{"type": "linear", "factor": 4.0}, {"rope_type": "dynamic", "factor": 2.0}],
    ids=["linear", "dynamic"],
)
def test_both_spellings_of_scaling_read_the_same(scaling: dict[str, Any]) -> None:
    raw = changed(rope_scaling=scaling)
    assert describe(raw, FILE) == describe(v5(raw), FILE)
    assert describe(raw, FILE).config.context == 8192 * scaling["factor"]


def test_smollm2_field_by_field() -> None:
    description = describe(SMOLLM2_135M, FILE)
    config = description.config
    assert description.dtype == "bf16"
    assert (config.vocab_size, config.d_model, config.d_ff) == (49152, 576, 1536)
    assert (config.n_layers, config.n_heads, config.n_kv_heads, config.d_head) == (30, 9, 3, 64)
    assert (config.context, config.norm_eps, config.activation) == (8192, 1e-5, "silu")
    assert (config.qkv_bias, config.out_bias, config.mlp_bias, config.tied) == (
        False,
        False,
        False,
        True,
    )
    assert {layer.rope for layer in config.layers} == {Rope(theta=100000, dim=64)}
    assert config.attention_kind == "GQA"


def test_llama3_rope_field_by_field() -> None:
    config = describe(LLAMA_32_1B, FILE).config
    assert config.layers[0].rope == Rope(
        theta=500000.0,
        dim=64,
        kind="llama3",
        factor=32.0,
        original_context=8192,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
    )
    assert config.context == 131072


def test_absent_keys_take_the_class_defaults() -> None:
    config = describe({"model_type": "llama"}, FILE).config
    assert (config.vocab_size, config.d_model, config.d_ff) == (32000, 4096, 11008)
    assert (config.n_layers, config.n_heads, config.n_kv_heads, config.d_head) == (32, 32, 32, 128)
    assert (config.context, config.norm_eps, config.tied) == (2048, 1e-6, False)
    assert config.layers[0].rope == Rope(10000.0, 128)


def test_defaults_are_the_reference_classes_own() -> None:
    from transformers import LlamaConfig

    reference = LlamaConfig()
    config = describe({"model_type": "llama"}, FILE).config
    assert config.vocab_size == reference.vocab_size
    assert config.norm_eps == reference.rms_norm_eps
    assert config.n_kv_heads == reference.num_key_value_heads
    assert config.tied == reference.tie_word_embeddings
    assert config.context == reference.max_position_embeddings
    assert config.layers[0].rope.theta == reference.rope_parameters["rope_theta"]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({}, "model_type is missing"),
        (changed(model_type="mixtral"), "'mixtral' is not supported"),
        (changed(model_type=3), "model_type must be a text"),
        (changed(hidden_size="576"), "hidden_size must be a whole number, not '576'"),
        (changed(hidden_size=True), "hidden_size must be a whole number, not true"),
        (changed(hidden_size=576.0), "hidden_size must be a whole number, not 576.0"),
        (changed(hidden_size=0), "hidden_size must be from 1"),
        (changed(vocab_size=-1), "vocab_size must be from 1"),
        (changed(num_hidden_layers=10**9), "num_hidden_layers must be from 1 to"),
        (changed(max_position_embeddings=10**12), "max_position_embeddings must be from"),
        (changed(hidden_size=577), "hidden_size 577 does not divide into 9 heads"),
        (changed(num_key_value_heads=2), "9 query heads do not share 2 KV heads"),
        (changed(head_dim=63), "rope dim must be positive and even"),
        (changed(rms_norm_eps=-1e-5), "rms_norm_eps must be from 0"),
        (changed(rms_norm_eps=[1]), "rms_norm_eps must be a number, not an array"),
        (changed(tie_word_embeddings=1), "tie_word_embeddings must be true or false"),
        (changed(hidden_act="mish"), "hidden_act 'mish' is not supported"),
        (changed(rope_theta=0), "rope theta must be positive"),
        (changed(rope_scaling="linear"), "rope_scaling must be an object"),
        (changed(rope_scaling={"type": "ntk", "factor": 2.0}), "rope_scaling.type 'ntk'"),
        (changed(rope_scaling={"type": "linear"}), "rope_scaling.factor is missing"),
        (changed(rope_scaling={"type": "linear", "factor": 0.5}), "rope factor must be at least"),
        (changed(rope_parameters={"rope_type": "nope"}), "rope_parameters.rope_type 'nope'"),
        (changed(partial_rotary_factor=0.5, rope_scaling={"type": "default"}), "partial_rotary"),
        (changed(quantization_config={"quant_method": "fp8"}), "quant_method 'fp8'"),
    ],
)
def test_what_is_wrong_or_not_supported_is_named(raw: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidModelError) as caught:
        describe(raw, FILE)
    assert named in str(caught.value)
    assert str(FILE) in str(caught.value)
