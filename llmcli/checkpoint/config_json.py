"""A raw config.json, in its v4 or v5 spelling, -> ModelConfig; what is not supported is refused.

It knows the Hugging Face spellings of settings, and nothing of tensors.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmcli.checkpoint.families import FAMILIES, Family
from llmcli.checkpoint.json_file import read_json_object
from llmcli.checkpoint.settings import Settings
from llmcli.core.config import Activation, Layer, ModelConfig, Rope, RopeKind
from llmcli.errors import InvalidModelError

MOST_LAYERS = 10_000

# Reference spellings -> ours. The reference library's "gelu_new", "gelu_fast" and
# "gelu_pytorch_tanh" are one function computed in three ways.
_ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
_ROPE_KINDS: dict[str, RopeKind] = {
    "default": "default",
    "linear": "linear",
    "dynamic": "dynamic",
    "llama3": "llama3",
}
_DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class ModelDescription:
    """What config.json says: the family's row, the sizes, and the dtype that the weights were saved
    in ("fp32", "bf16", "fp16"; None where the file does not say)."""

    family: Family
    config: ModelConfig
    dtype: str | None


def read_description(folder: Path) -> ModelDescription:
    """Read config.json. Raises InvalidModelError with the file, the key and the value."""
    file = folder / "config.json"
    return describe(read_json_object(file), file)


def describe(raw: dict[str, Any], file: Path) -> ModelDescription:
    """The same from parsed JSON; `file` is for messages."""
    model_type = Settings(raw, {}, file).text("model_type")
    family = FAMILIES.get(model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise InvalidModelError(
            f"{file}: model_type {model_type!r} is not supported", hint=f"supported: {known}"
        )
    settings = Settings(raw, family.defaults, file)
    _refuse_quantized(settings)
    try:
        config = _model_config(settings)
    except ValueError as error:
        raise InvalidModelError(f"{file}: {error}") from None
    return ModelDescription(family, config, _dtype(settings))


def _model_config(settings: Settings) -> ModelConfig:
    d_model = settings.integer("hidden_size")
    n_heads = settings.integer("num_attention_heads")
    if settings.raw("head_dim") is not None:
        d_head = settings.integer("head_dim")
    elif d_model % n_heads:
        raise settings.error("hidden_size", f"{d_model} does not divide into {n_heads} heads")
    else:
        d_head = d_model // n_heads
    n_kv_heads = n_heads
    if settings.raw("num_key_value_heads") is not None:
        n_kv_heads = settings.integer("num_key_value_heads")
    context = settings.integer("max_position_embeddings")
    rope = _rope(settings, d_head, context)
    if rope.kind in ("linear", "dynamic"):
        context = int(context * rope.factor)  # these two stretch what the file gives unstretched
    attention_bias = settings.boolean("attention_bias")
    return ModelConfig(
        vocab_size=settings.integer("vocab_size"),
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_head=d_head,
        d_ff=settings.integer("intermediate_size"),
        context=context,
        layers=(Layer(rope),) * settings.integer("num_hidden_layers", most=MOST_LAYERS),
        norm_eps=settings.number("rms_norm_eps"),
        activation=_activation(settings),
        qkv_bias=attention_bias,
        out_bias=attention_bias,
        mlp_bias=settings.boolean("mlp_bias"),
        tied=settings.boolean("tie_word_embeddings"),
    )


def _rope(settings: Settings, d_head: int, context: int) -> Rope:
    """v5 keeps everything in `rope_parameters`; v4 has a flat `rope_theta` and `rope_scaling`."""
    defaults = {"rope_theta": settings.raw("rope_theta"), "original_max_position_embeddings": None}
    section = settings.section("rope_parameters", defaults) or settings.section(
        "rope_scaling", defaults
    )
    if section is None:
        return Rope(theta=settings.number("rope_theta"), dim=d_head)
    for owner in (settings, section):
        if owner.has("partial_rotary_factor") and owner.number("partial_rotary_factor") != 1:
            raise owner.error("partial_rotary_factor", "is not supported for this family")
    spelled = "rope_type" if section.has("rope_type") or not section.has("type") else "type"
    name = section.text(spelled) if section.has(spelled) else "default"
    kind = _ROPE_KINDS.get(name)
    if kind is None:
        known = ", ".join(_ROPE_KINDS)
        raise section.error(spelled, f"{name!r} is not supported (supported: {known})")
    theta = section.number("rope_theta")
    if kind == "default":
        return Rope(theta, d_head)
    factor = section.number("factor")
    if kind != "llama3":
        return Rope(theta, d_head, kind, factor, original_context=context)
    original = context
    if section.has("original_max_position_embeddings"):
        original = section.integer("original_max_position_embeddings")
    low, high = section.number("low_freq_factor"), section.number("high_freq_factor")
    return Rope(theta, d_head, kind, factor, low, high, original)


def _activation(settings: Settings) -> Activation:
    name = settings.text("hidden_act")
    if name not in _ACTIVATIONS:
        raise settings.error("hidden_act", f"{name!r} is not supported")
    return _ACTIVATIONS[name]


def _refuse_quantized(settings: Settings) -> None:
    section = settings.section("quantization_config", {"quant_method": "an unnamed method"})
    if section is not None:
        method = section.text("quant_method")
        raise section.error("quant_method", f"{method!r}: quantized checkpoints are not supported")


def _dtype(settings: Settings) -> str | None:
    """`dtype` in v5, `torch_dtype` in v4; a spelling that is not known decides nothing."""
    for key in ("dtype", "torch_dtype"):
        if settings.has(key):
            return _DTYPES.get(settings.text(key).removeprefix("torch."))
    return None
