"""The table of model families: model_type -> weight names, traits, what an absent setting means.

A family is data: one row, most of them derived from another. It knows nothing of any particular
checkpoint's sizes.
"""

import re
from collections.abc import Mapping

from llmcli.checkpoint.family import LLAMA, NO_BIAS, Family, derive

MISTRAL = derive(
    LLAMA,
    "mistral",
    settings=NO_BIAS,
    defaults={
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096 * 32,
        "sliding_window": 4096,
    },
    windows="all",
)

QWEN2 = derive(
    LLAMA,
    "qwen2",
    settings={**NO_BIAS, "qkv_bias": True},
    defaults={
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32768,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
    },
    windows="upper",
)

QWEN3 = derive(
    QWEN2,
    "qwen3",
    settings={"qkv_bias": "attention_bias", "out_bias": "attention_bias"},
    defaults={"head_dim": 128, "attention_bias": False},
    traits={"qk_norm": "head"},
)

PHI3 = derive(
    LLAMA,
    "phi3",
    names={
        "blocks.{i}.attn.qkv": "model.layers.{i}.self_attn.qkv_proj",
        "blocks.{i}.mlp.gate_up": "model.layers.{i}.mlp.gate_up_proj",
    },
    settings=NO_BIAS,
    defaults={
        "vocab_size": 32064,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "max_position_embeddings": 4096,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "partial_rotary_factor": 1.0,
        "sliding_window": None,
    },
    rope_kinds=("default", "longrope"),
    partial_rotary=True,
    windows="all",
)

GEMMA = derive(
    LLAMA,
    "gemma",
    settings={
        **NO_BIAS,
        "qkv_bias": "attention_bias",
        "out_bias": "attention_bias",
        "embedding_scale": "sqrt(d_model)",
    },
    defaults={
        "vocab_size": 256000,
        "hidden_size": 3072,
        "intermediate_size": 24576,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "hidden_act": "gelu_pytorch_tanh",
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    only={"use_bidirectional_attention": False},
    plus_one=True,
)

GEMMA2 = derive(
    GEMMA,
    "gemma2",
    names={
        "blocks.{i}.post1": "model.layers.{i}.post_attention_layernorm",
        "blocks.{i}.norm2": "model.layers.{i}.pre_feedforward_layernorm",
        "blocks.{i}.post2": "model.layers.{i}.post_feedforward_layernorm",
    },
    settings={
        "activation": "hidden_activation",
        "attention_scale": "query_pre_attn_scalar",
        "attention_softcap": "attn_logit_softcapping",
        "logit_softcap": "final_logit_softcapping",
    },
    defaults={
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 256,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "sliding_window": 4096,
        "sliding_window_pattern": 2,
    },
    traits={"norm_places": "both"},
    windows="interleaved",
)

GEMMA3 = derive(
    GEMMA2,
    "gemma3_text",
    defaults={
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "sliding_window_pattern": 6,
    },
    traits={"qk_norm": "head"},
)

GPT2 = Family(
    model_type="gpt2",
    names={
        "embed": "transformer.wte",
        "positions": "transformer.wpe",
        "blocks.{i}.norm1": "transformer.h.{i}.ln_1",
        "blocks.{i}.attn.qkv": "transformer.h.{i}.attn.c_attn",
        "blocks.{i}.attn.out": "transformer.h.{i}.attn.c_proj",
        "blocks.{i}.norm2": "transformer.h.{i}.ln_2",
        "blocks.{i}.mlp.up": "transformer.h.{i}.mlp.c_fc",
        "blocks.{i}.mlp.down": "transformer.h.{i}.mlp.c_proj",
        "final_norm": "transformer.ln_f",
        "head": "lm_head",
    },
    settings={
        "vocab_size": "vocab_size",
        "d_model": "n_embd",
        "d_ff": "n_inner",
        "n_layers": "n_layer",
        "n_heads": "n_head",
        "n_kv_heads": None,
        "d_head": None,
        "context": "n_positions",
        "norm_eps": "layer_norm_epsilon",
        "activation": "activation_function",
        "tied": "tie_word_embeddings",
        "qkv_bias": True,
        "out_bias": True,
        "mlp_bias": True,
    },
    defaults={
        "vocab_size": 50257,
        "n_embd": 768,
        "n_inner": None,  # 4 * n_embd
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 1024,
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
        "tie_word_embeddings": True,
    },
    prefix="transformer.",
    traits={"norm": "layer", "gated": False},
    rope_kinds=(),
    only={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
    transposed=frozenset(
        f"blocks.{{i}}.{module}" for module in ("attn.qkv", "attn.out", "mlp.up", "mlp.down")
    ),
    harmless=(re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)"),),
)

SMOLLM3 = derive(
    LLAMA,
    "smollm3",
    defaults={
        "vocab_size": 128256,
        "hidden_size": 2048,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "rope_theta": 2_000_000.0,
        "tie_word_embeddings": True,
        "no_rope_layers": None,
        "no_rope_layer_interval": 4,
    },
    only={"use_sliding_window": False},
)

OLMO2 = derive(
    LLAMA,
    "olmo2",
    names={
        "blocks.{i}.post1": "model.layers.{i}.post_attention_layernorm",
        "blocks.{i}.post2": "model.layers.{i}.post_feedforward_layernorm",
    },
    settings={"mlp_bias": False},
    defaults={"vocab_size": 50304, "rms_norm_eps": 1e-5},
    traits={"norm_places": "after", "qk_norm": "all_heads"},
)

GRANITE = derive(
    LLAMA,
    "granite",
    settings={
        "attention_scale": "attention_multiplier",
        "embedding_scale": "embedding_multiplier",
        "residual_scale": "residual_multiplier",
        "logit_scale": "logits_scaling",
    },
    defaults={
        "attention_multiplier": 1.0,
        "embedding_multiplier": 1.0,
        "residual_multiplier": 1.0,
        "logits_scaling": 1.0,
    },
)

STABLELM = derive(
    LLAMA,
    "stablelm",
    settings={**NO_BIAS, "norm_eps": "layer_norm_eps", "qkv_bias": "use_qkv_bias"},
    defaults={
        "vocab_size": 50304,
        "hidden_size": 2560,
        "intermediate_size": 6912,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        "layer_norm_eps": 1e-5,
        "use_qkv_bias": False,
        "partial_rotary_factor": 0.25,
    },
    traits={"norm": "layer"},
    partial_rotary=True,
    only={"qk_layernorm": False, "use_parallel_residual": False},
)

STARCODER2 = derive(
    LLAMA,
    "starcoder2",
    names={
        "blocks.{i}.mlp.up": "model.layers.{i}.mlp.c_fc",
        "blocks.{i}.mlp.down": "model.layers.{i}.mlp.c_proj",
    },
    settings={
        "norm_eps": "norm_epsilon",
        "qkv_bias": "use_bias",
        "out_bias": "use_bias",
        "mlp_bias": "use_bias",
    },
    defaults={
        "vocab_size": 49152,
        "hidden_size": 3072,
        "intermediate_size": 12288,
        "num_hidden_layers": 30,
        "num_attention_heads": 24,
        "num_key_value_heads": 2,
        "hidden_act": "gelu_pytorch_tanh",
        "max_position_embeddings": 4096,
        "norm_epsilon": 1e-5,
        "use_bias": True,
        "tie_word_embeddings": True,
        "sliding_window": None,
    },
    traits={"norm": "layer", "gated": False},
    windows="all",
)

FAMILIES: Mapping[str, Family] = {
    family.model_type: family
    for family in (
        LLAMA,
        MISTRAL,
        QWEN2,
        QWEN3,
        PHI3,
        GEMMA,
        GEMMA2,
        GEMMA3,
        GPT2,
        SMOLLM3,
        OLMO2,
        GRANITE,
        STABLELM,
        STARCODER2,
    )
}
