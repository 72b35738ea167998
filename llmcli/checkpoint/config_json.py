"""A raw config.json, in its v4 or v5 spelling, -> ModelConfig; what is not supported is refused.

It knows the Hugging Face spellings of settings, and nothing of tensors.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmcli.checkpoint.families import FAMILIES
from llmcli.checkpoint.family import Family
from llmcli.checkpoint.json_file import read_json_object
from llmcli.checkpoint.quantization import QuantScheme, read_scheme
from llmcli.checkpoint.rope_json import read_rope
from llmcli.checkpoint.settings import Settings
from llmcli.core.config import Activation, Layer, ModelConfig, Rope
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
_DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
_STRETCHED = ("linear", "dynamic")
_FULL, _SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class ModelDescription:
    """What config.json says: the family's row, the sizes, and the dtype that the weights were saved
    in ("fp32", "bf16", "fp16"; None where the file does not say), and how they are packed."""

    family: Family
    config: ModelConfig
    dtype: str | None
    scheme: QuantScheme | None


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
    _refuse_unsupported(family, settings)
    scheme = read_scheme(settings)
    try:
        config = _Reader(family, settings).config()
    except ValueError as error:
        raise InvalidModelError(f"{file}: {error}") from None
    return ModelDescription(family, config, _dtype(settings), scheme)


class _Reader:
    """Reads the fields of ModelConfig from where the family's row says they are."""

    def __init__(self, family: Family, settings: Settings) -> None:
        self.family, self.settings = family, settings

    def config(self) -> ModelConfig:
        d_model, n_heads = self._integer("d_model"), self._integer("n_heads")
        d_head = self._head_width(d_model, n_heads)
        context = self._integer("context")
        layers = self._layers(d_head, context)
        stretched = [layer.rope for layer in layers if layer.rope and layer.rope.kind in _STRETCHED]
        return ModelConfig(
            vocab_size=self._integer("vocab_size"),
            d_model=d_model,
            n_heads=n_heads,
            n_kv_heads=self._optional("n_kv_heads") or n_heads,
            d_head=d_head,
            d_ff=self._optional("d_ff") or 4 * d_model,
            # linear and dynamic stretch a context that the file gives unstretched
            context=int(context * stretched[0].factor) if stretched else context,
            layers=layers,
            norm_eps=self.settings.number(self.family.settings["norm_eps"]),
            activation=self._activation(),
            qkv_bias=self._boolean("qkv_bias"),
            out_bias=self._boolean("out_bias"),
            mlp_bias=self._boolean("mlp_bias"),
            tied=self._boolean("tied"),
            attention_scale=self._attention_scale(d_head),
            learned_positions=context if "positions" in self.family.names else None,
            attention_softcap=self._soft_cap("attention_softcap"),
            logit_softcap=self._soft_cap("logit_softcap"),
            embedding_scale=self._embedding_scale(d_model),
            residual_scale=self._scale("residual_scale"),
            logit_scale=1 / self._scale("logit_scale"),
            **self.family.traits,
        )

    def _integer(self, field: str) -> int:
        return self.settings.integer(self.family.settings[field])

    def _optional(self, field: str) -> int | None:
        """None where the file or the family leaves it to the other sizes."""
        key = self.family.settings[field]
        return None if key is None or self.settings.raw(key) is None else self._integer(field)

    def _boolean(self, field: str) -> bool:
        key = self.family.settings[field]
        return key if isinstance(key, bool) else self.settings.boolean(key)

    def _scale(self, field: str) -> float:
        key = self.family.settings.get(field)
        if key is None:
            return 1.0
        value = self.settings.number(key)
        if value == 0:
            raise self.settings.error(key, "must not be 0")
        return value

    def _soft_cap(self, field: str) -> float | None:
        key = self.family.settings.get(field)
        return None if key is None or self.settings.raw(key) is None else self._scale(field)

    def _head_width(self, d_model: int, n_heads: int) -> int:
        d_head = self._optional("d_head")
        if d_head is None and d_model % n_heads:
            key = self.family.settings["d_model"]
            raise self.settings.error(key, f"{d_model} does not divide into {n_heads} heads")
        return d_head or d_model // n_heads

    def _attention_scale(self, d_head: int) -> float:
        key = self.family.settings.get("attention_scale")
        if key is None:
            return 1 / math.sqrt(d_head)
        value = self._scale("attention_scale")
        # Gemma gives the width whose root divides the scores; Granite gives the factor itself.
        return 1 / math.sqrt(value) if key == "query_pre_attn_scalar" else value

    def _embedding_scale(self, d_model: int) -> float:
        if self.family.settings.get("embedding_scale") == "sqrt(d_model)":
            return math.sqrt(d_model)
        return self._scale("embedding_scale")

    def _activation(self) -> Activation:
        key = self.family.settings["activation"]
        name = self.settings.text(key)
        if name not in _ACTIVATIONS:
            raise self.settings.error(key, f"{name!r} is not supported")
        if self.family.plus_one and name == "gelu":
            return "gelu_tanh"  # what Gemma's early files meant by it
        return _ACTIVATIONS[name]

    def _layers(self, d_head: int, context: int) -> tuple[Layer, ...]:
        count = self.settings.integer(self.family.settings["n_layers"], most=MOST_LAYERS)
        kinds = self._kinds(count)
        rotated = self._rotated(count)
        ropes = {kind: self._rope(kind, d_head, context) for kind in dict.fromkeys(kinds)}
        window = None
        if _SLIDING in kinds:
            window = self.settings.integer("sliding_window")
        return tuple(
            Layer(ropes[kind] if turns else None, window if kind == _SLIDING else None)
            for kind, turns in zip(kinds, rotated, strict=True)
        )

    def _rope(self, kind: str, d_head: int, context: int) -> Rope | None:
        if not self.family.rope_kinds:
            return None
        return read_rope(self.family, self.settings, d_head, context, kind)

    def _kinds(self, count: int) -> list[str]:
        """Which layers see everything and which only a window; v5 files list them."""
        windows, settings = self.family.windows, self.settings
        if windows == "none":
            return [_FULL] * count
        if windows == "all":
            return [_FULL if settings.raw("sliding_window") is None else _SLIDING] * count
        if settings.has("layer_types"):
            return self._listed_kinds(count)
        if windows == "interleaved":
            every = settings.integer("sliding_window_pattern")
            return [_SLIDING if (layer + 1) % every else _FULL for layer in range(count)]
        if not settings.boolean("use_sliding_window") or settings.raw("sliding_window") is None:
            return [_FULL] * count
        first = settings.integer("max_window_layers", least=0)
        return [_SLIDING if layer >= first else _FULL for layer in range(count)]

    def _listed_kinds(self, count: int) -> list[str]:
        kinds = self.settings.raw("layer_types")
        if not isinstance(kinds, list) or len(kinds) != count:
            raise self.settings.error("layer_types", f"must list {count} layers")
        for kind in kinds:
            if kind not in (_FULL, _SLIDING):
                raise self.settings.error("layer_types", f"{str(kind)!r} is not supported")
        return kinds

    def _rotated(self, count: int) -> list[bool]:
        """Which layers rotate at all: SmolLM3 leaves some without positions."""
        if not self.settings.has_default("no_rope_layers"):
            return [True] * count
        listed = self.settings.raw("no_rope_layers")
        if listed is None:
            every = self.settings.integer("no_rope_layer_interval")
            return [(layer + 1) % every != 0 for layer in range(count)]
        if (
            not isinstance(listed, list)
            or len(listed) != count
            or any(turns not in (0, 1) for turns in listed)
        ):
            raise self.settings.error("no_rope_layers", f"must list 0 or 1 for {count} layers")
        return [turns == 1 for turns in listed]


def _refuse_unsupported(family: Family, settings: Settings) -> None:
    for key, supported in family.only.items():
        if settings.has(key) and settings.raw(key) is not supported:
            value = str(settings.raw(key)).lower()
            raise settings.error(key, f"{value} is not supported for {family.model_type}")


def _dtype(settings: Settings) -> str | None:
    """`dtype` in v5, `torch_dtype` in v4; a spelling that is not known decides nothing."""
    for key in ("dtype", "torch_dtype"):
        if settings.has(key):
            return _DTYPES.get(settings.text(key).removeprefix("torch."))
    return None
