"""Small settings of every family and trait, as config.json spells them."""

from typing import Any

from tiny_models import LLAMA

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
