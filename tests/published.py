"""Public checkpoints: the settings their config.json gives that decide sizes and traits, in the v4
spelling as published, and the parameter count that their pages state (each number counted once)."""

from typing import Any

LLAMA3_SCALING = {
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
# The published arrays have 48 entries each; their ends stand for them here, which keeps the length.
_PHI3_128K = {
    "long_factor": [1.0799999237060547] + [32.0] * 46 + [64.80001068115234],
    "short_factor": [1.0] + [1.5] * 46 + [3.0],
    "type": "longrope",
}


def config(
    model_type: str,
    vocab: int,
    d_model: int,
    d_ff: int,
    layers: int,
    heads: int,
    kv_heads: int | None,
    context: int,
    **more: Any,
) -> dict[str, Any]:
    """A config.json in the spelling that all families but GPT-2 share."""
    sizes = {
        "model_type": model_type,
        "vocab_size": vocab,
        "hidden_size": d_model,
        "intermediate_size": d_ff,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": context,
        "torch_dtype": "bfloat16",
    }
    if kv_heads is not None:
        sizes["num_key_value_heads"] = kv_heads
    return sizes | more


def gpt2(d_model: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-05,
        "n_ctx": 1024,
        "n_embd": d_model,
        "n_head": heads,
        "n_layer": layers,
        "n_positions": 1024,
        "vocab_size": 50257,
    }


# fmt: off
MODELS: dict[str, tuple[dict[str, Any], int]] = {
    "HuggingFaceTB/SmolLM2-135M": (
        config("llama", 49152, 576, 1536, 30, 9, 3, 8192, rope_theta=100000, rms_norm_eps=1e-05,
               tie_word_embeddings=True),
        134_515_008,
    ),
    "HuggingFaceTB/SmolLM2-360M": (
        config("llama", 49152, 960, 2560, 32, 15, 5, 8192, rope_theta=100000, rms_norm_eps=1e-05,
               tie_word_embeddings=True),
        361_821_120,
    ),
    "HuggingFaceTB/SmolLM2-1.7B": (
        config("llama", 49152, 2048, 8192, 24, 32, 32, 8192, rope_theta=130000,
               rms_norm_eps=1e-05, tie_word_embeddings=True),
        1_711_376_384,
    ),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": (
        config("llama", 32000, 2048, 5632, 22, 32, 4, 2048, rope_theta=10000.0, rms_norm_eps=1e-05,
               tie_word_embeddings=False),
        1_100_048_384,
    ),
    "meta-llama/Llama-2-7b-hf": (
        config("llama", 32000, 4096, 11008, 32, 32, 32, 4096, rms_norm_eps=1e-05,
               rope_scaling=None, tie_word_embeddings=False),
        6_738_415_616,
    ),
    "meta-llama/Meta-Llama-3-8B": (
        config("llama", 128256, 4096, 14336, 32, 32, 8, 8192, rope_theta=500000.0,
               rope_scaling=None, rms_norm_eps=1e-05, tie_word_embeddings=False),
        8_030_261_248,
    ),
    "meta-llama/Llama-3.1-8B": (
        config("llama", 128256, 4096, 14336, 32, 32, 8, 131072, rope_theta=500000.0,
               rope_scaling={"factor": 8.0, **LLAMA3_SCALING}, rms_norm_eps=1e-05,
               tie_word_embeddings=False),
        8_030_261_248,
    ),
    "meta-llama/Llama-3.2-1B": (
        config("llama", 128256, 2048, 8192, 16, 32, 8, 131072, head_dim=64, rope_theta=500000.0,
               rope_scaling={"factor": 32.0, **LLAMA3_SCALING}, rms_norm_eps=1e-05,
               tie_word_embeddings=True),
        1_235_814_400,
    ),
    "meta-llama/Llama-3.2-3B": (
        config("llama", 128256, 3072, 8192, 28, 24, 8, 131072, head_dim=128, rope_theta=500000.0,
               rope_scaling={"factor": 32.0, **LLAMA3_SCALING}, rms_norm_eps=1e-05,
               tie_word_embeddings=True),
        3_212_749_824,
    ),
    "mistralai/Mistral-7B-v0.1": (
        config("mistral", 32000, 4096, 14336, 32, 32, 8, 32768, rope_theta=10000.0,
               rms_norm_eps=1e-05, sliding_window=4096, tie_word_embeddings=False),
        7_241_732_096,
    ),
    "mistralai/Mistral-7B-v0.3": (
        config("mistral", 32768, 4096, 14336, 32, 32, 8, 32768, rope_theta=1000000.0,
               rms_norm_eps=1e-05, sliding_window=None, tie_word_embeddings=False),
        7_248_023_552,
    ),
    "Qwen/Qwen2.5-0.5B": (
        config("qwen2", 151936, 896, 4864, 24, 14, 2, 32768, rope_theta=1000000.0,
               rms_norm_eps=1e-06, max_window_layers=24, sliding_window=32768,
               use_sliding_window=False, tie_word_embeddings=True),
        494_032_768,
    ),
    "Qwen/Qwen2.5-1.5B": (
        config("qwen2", 151936, 1536, 8960, 28, 12, 2, 131072, rope_theta=1000000.0,
               rms_norm_eps=1e-06, max_window_layers=28, sliding_window=131072,
               use_sliding_window=False, tie_word_embeddings=True),
        1_543_714_304,
    ),
    "Qwen/Qwen2.5-7B": (
        config("qwen2", 152064, 3584, 18944, 28, 28, 4, 131072, rope_theta=1000000.0,
               rms_norm_eps=1e-06, max_window_layers=28, sliding_window=131072,
               use_sliding_window=False, tie_word_embeddings=False),
        7_615_616_512,
    ),
    "Qwen/Qwen3-0.6B": (
        config("qwen3", 151936, 1024, 3072, 28, 16, 8, 40960, head_dim=128, rope_theta=1000000,
               rms_norm_eps=1e-06, attention_bias=False, max_window_layers=28,
               sliding_window=None, use_sliding_window=False, tie_word_embeddings=True),
        596_049_920,
    ),
    "Qwen/Qwen3-8B": (
        config("qwen3", 151936, 4096, 12288, 36, 32, 8, 40960, head_dim=128, rope_theta=1000000,
               rms_norm_eps=1e-06, attention_bias=False, max_window_layers=36,
               sliding_window=None, use_sliding_window=False, tie_word_embeddings=False),
        8_190_735_360,
    ),
    "microsoft/Phi-3-mini-4k-instruct": (
        config("phi3", 32064, 3072, 8192, 32, 32, 32, 4096, rope_theta=10000.0, rope_scaling=None,
               original_max_position_embeddings=4096, rms_norm_eps=1e-05, sliding_window=2047,
               tie_word_embeddings=False),
        3_821_079_552,
    ),
    "microsoft/Phi-3-mini-128k-instruct": (
        config("phi3", 32064, 3072, 8192, 32, 32, 32, 131072, rope_theta=10000.0,
               rope_scaling=_PHI3_128K, original_max_position_embeddings=4096,
               rms_norm_eps=1e-05, sliding_window=262144, tie_word_embeddings=False),
        3_821_079_552,
    ),
    "microsoft/Phi-4-mini-instruct": (
        config("phi3", 200064, 3072, 8192, 32, 24, 8, 131072, rope_theta=10000.0,
               rope_scaling=_PHI3_128K, original_max_position_embeddings=4096,
               partial_rotary_factor=0.75, rms_norm_eps=1e-05, sliding_window=262144,
               tie_word_embeddings=True),
        3_836_021_760,
    ),
    "google/gemma-2b": (
        config("gemma", 256000, 2048, 16384, 18, 8, 1, 8192, head_dim=256, hidden_act="gelu",
               rms_norm_eps=1e-06, rope_theta=10000.0),
        2_506_172_416,
    ),
    "google/gemma-7b": (
        config("gemma", 256000, 3072, 24576, 28, 16, 16, 8192, head_dim=256, hidden_act="gelu",
               rms_norm_eps=1e-06, rope_theta=10000.0),
        8_537_680_896,
    ),
    "google/gemma-2-2b": (
        config("gemma2", 256000, 2304, 9216, 26, 8, 4, 8192, head_dim=256,
               hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
               attn_logit_softcapping=50.0, final_logit_softcapping=30.0,
               query_pre_attn_scalar=256, sliding_window=4096, rms_norm_eps=1e-06,
               rope_theta=10000.0),
        2_614_341_888,
    ),
    "google/gemma-2-9b": (
        config("gemma2", 256000, 3584, 14336, 42, 16, 8, 8192, head_dim=256,
               hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
               attn_logit_softcapping=50.0, final_logit_softcapping=30.0,
               query_pre_attn_scalar=256, sliding_window=4096, rms_norm_eps=1e-06,
               rope_theta=10000.0),
        9_241_705_984,
    ),
    "google/gemma-3-1b-pt": (
        config("gemma3_text", 262144, 1152, 6912, 26, 4, 1, 32768, head_dim=256,
               hidden_activation="gelu_pytorch_tanh", attn_logit_softcapping=None,
               final_logit_softcapping=None, query_pre_attn_scalar=256, sliding_window=512,
               sliding_window_pattern=6, rms_norm_eps=1e-06, rope_theta=1000000,
               rope_local_base_freq=10000, rope_scaling=None),
        999_885_952,
    ),
    "google/gemma-3-270m": (
        config("gemma3_text", 262144, 640, 2048, 18, 4, 1, 32768, head_dim=256,
               hidden_activation="gelu_pytorch_tanh", attn_logit_softcapping=None,
               final_logit_softcapping=None, query_pre_attn_scalar=256, sliding_window=512,
               rms_norm_eps=1e-06, rope_theta=1000000.0, rope_local_base_freq=10000.0,
               rope_scaling=None),
        268_098_176,
    ),
    "openai-community/gpt2": (gpt2(768, 12, 12), 124_439_808),
    "openai-community/gpt2-medium": (gpt2(1024, 24, 16), 354_823_168),
    "openai-community/gpt2-large": (gpt2(1280, 36, 20), 774_030_080),
    "openai-community/gpt2-xl": (gpt2(1600, 48, 25), 1_557_611_200),
    "HuggingFaceTB/SmolLM3-3B": (
        config("smollm3", 128256, 2048, 11008, 36, 16, 4, 65536, rope_theta=5000000.0,
               rms_norm_eps=1e-06, no_rope_layers=[1, 1, 1, 0] * 9, no_rope_layer_interval=4,
               use_sliding_window=False, sliding_window=None, attention_bias=False,
               mlp_bias=False),
        3_075_098_624,
    ),
    "allenai/OLMo-2-0425-1B": (
        config("olmo2", 100352, 2048, 8192, 16, 16, 16, 4096, rope_theta=500000,
               rms_norm_eps=1e-06, rope_scaling=None, tie_word_embeddings=False),
        1_484_916_736,
    ),
    "allenai/OLMo-2-1124-7B": (
        config("olmo2", 100352, 4096, 11008, 32, 32, 32, 4096, rope_theta=500000,
               rms_norm_eps=1e-06, rope_scaling=None, tie_word_embeddings=False),
        7_298_617_344,
    ),
    "ibm-granite/granite-3.1-2b-instruct": (
        config("granite", 49155, 2048, 8192, 40, 32, 8, 131072, attention_multiplier=0.015625,
               embedding_multiplier=12.0, residual_multiplier=0.22, logits_scaling=8.0,
               rope_theta=5000000.0, rope_scaling=None, rms_norm_eps=1e-05,
               tie_word_embeddings=True),
        2_533_531_648,
    ),
    "ibm-granite/granite-3.1-8b-instruct": (
        config("granite", 49155, 4096, 12800, 40, 32, 8, 131072, attention_multiplier=0.0078125,
               embedding_multiplier=12.0, residual_multiplier=0.22, logits_scaling=16.0,
               rope_theta=10000000.0, rope_scaling=None, rms_norm_eps=1e-05,
               tie_word_embeddings=True),
        8_170_848_256,
    ),
    "stabilityai/stablelm-2-1_6b": (
        config("stablelm", 100352, 2048, 5632, 24, 32, 32, 4096, use_qkv_bias=True,
               partial_rotary_factor=0.25, layer_norm_eps=1e-05, rope_theta=10000,
               tie_word_embeddings=False),
        1_644_515_328,
    ),
    "stabilityai/stablelm-3b-4e1t": (
        config("stablelm", 50304, 2560, 6912, 32, 32, 32, 4096, partial_rotary_factor=0.25,
               layer_norm_eps=1e-05, rope_theta=10000, tie_word_embeddings=False),
        2_795_443_200,
    ),
    "bigcode/starcoder2-3b": (
        config("starcoder2", 49152, 3072, 12288, 30, 24, 2, 16384, norm_epsilon=1e-05,
               rope_theta=999999.4420358813, sliding_window=4096, use_bias=True),
        3_030_371_328,
    ),
    "bigcode/starcoder2-7b": (
        config("starcoder2", 49152, 4608, 18432, 32, 36, 4, 16384, norm_epsilon=1e-05,
               rope_theta=1000000, sliding_window=4096, use_bias=True),
        7_173_923_840,
    ),
}
# fmt: on
