"""What a decoder is made of, as frozen and validated data. It knows no model's name and no file.

Symbols in comments: B batch, T new positions, S positions seen so far, H query heads, K key-value
heads, D head width.
"""

from dataclasses import dataclass
from typing import Literal

RopeKind = Literal["default", "linear", "dynamic", "llama3", "yarn", "longrope"]
Activation = Literal["silu", "gelu", "gelu_tanh", "relu"]
# rms: arXiv:1910.07467; layer: arXiv:1607.06450, with a bias.
NormKind = Literal["rms", "layer"]
# Before each sublayer; after it, on what it adds; or both (Gemma 2 and 3).
NormPlaces = Literal["before", "after", "both"]
# Queries and keys normed not at all, head by head, or across all heads at once.
QKNorm = Literal["none", "head", "all_heads"]


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding (Su et al. 2021, arXiv:2104.09864) and how it is stretched.

    `dim` is how many of a head's numbers are rotated; cosines and sines are multiplied by `scale`.
    linear: positions divided by `factor` (arXiv:2306.15595). dynamic: theta grows with the length
    past `original_context` (NTK-aware). llama3: low frequencies divided by `factor`, high ones
    kept, a ramp between. yarn: the same by a ramp over dimensions (arXiv:2309.00071). longrope:
    each frequency divided by its own factor, of `long_factors` once the length passes
    `original_context`, before that of `short_factors` (arXiv:2402.13753).
    """

    theta: float
    dim: int
    kind: RopeKind = "default"
    factor: float = 1.0
    original_context: int = 0
    scale: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    whole_dimensions: bool = True
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.dim <= 0 or self.dim % 2:
            raise ValueError(f"rope dim must be positive and even, not {self.dim}")
        if self.theta <= 0:
            raise ValueError(f"rope theta must be positive, not {self.theta}")
        if self.scale <= 0:
            raise ValueError(f"rope attention factor must be positive, not {self.scale}")
        if self.kind in ("linear", "dynamic", "llama3", "yarn") and self.factor < 1:
            raise ValueError(f"rope factor must be at least 1, not {self.factor}")
        if self.kind not in ("default", "linear") and self.original_context <= 0:
            raise ValueError(f"{self.kind} rope needs a positive original context")
        if self.kind == "dynamic" and self.dim <= 2:
            raise ValueError("dynamic rope needs more than 2 rotated dimensions")
        if self.kind == "llama3" and not 0 < self.low_freq_factor < self.high_freq_factor:
            raise ValueError("llama3 rope needs 0 < low_freq_factor < high_freq_factor")
        if self.kind == "yarn" and not (self.theta > 1 and 0 < self.beta_slow <= self.beta_fast):
            raise ValueError("yarn rope needs theta above 1 and 0 < beta_slow <= beta_fast")
        if self.kind == "longrope":
            for name in ("short_factors", "long_factors"):
                factors = getattr(self, name)
                if len(factors) != self.dim // 2 or min(factors) <= 0:
                    raise ValueError(
                        f"longrope {name} must be {self.dim // 2} positive numbers, "
                        f"not {len(factors)}"
                    )


@dataclass(frozen=True)
class Layer:
    """What may differ from layer to layer: how positions enter attention.

    `window`: a query sees the last `window` positions, its own included; None: all. `rope` None:
    positions do not enter here.
    """

    rope: Rope | None
    window: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window <= 0:
            raise ValueError(f"an attention window must be positive, not {self.window}")


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and traits of a decoder-only transformer. Widths are counts of numbers, not bytes.

    `learned_positions`: rows of a position table, or None. Soft caps squash x to cap * tanh(x /
    cap), on attention scores and on logits. Scales multiply: embeddings, scores, what a sublayer
    adds to the residual stream, logits.
    """

    vocab_size: int
    d_model: int
    n_heads: int
    n_kv_heads: int
    d_head: int
    d_ff: int
    context: int
    layers: tuple[Layer, ...]
    norm_eps: float
    activation: Activation
    qkv_bias: bool
    out_bias: bool
    mlp_bias: bool
    tied: bool
    attention_scale: float
    norm: NormKind = "rms"
    norm_places: NormPlaces = "before"
    qk_norm: QKNorm = "none"
    gated: bool = True
    learned_positions: int | None = None
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "d_model", "n_heads", "n_kv_heads", "d_head", "d_ff", "context"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if not self.layers:
            raise ValueError("a decoder needs at least one layer")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"{self.n_heads} query heads do not share {self.n_kv_heads} KV heads evenly"
            )
        if not 0 <= self.norm_eps < 1:
            raise ValueError(f"norm_eps must be in [0, 1), not {self.norm_eps}")
        for name in ("attention_scale", "embedding_scale", "residual_scale", "logit_scale"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for layer in self.layers:
            if layer.rope is not None and layer.rope.dim > self.d_head:
                raise ValueError(f"rope dim {layer.rope.dim} exceeds the head width {self.d_head}")
        if self.learned_positions is not None and self.context > self.learned_positions:
            raise ValueError(f"{self.learned_positions} positions for a context of {self.context}")

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def finishes_logits(self) -> bool:
        """Whether scores are scaled or capped before they are logits."""
        return self.logit_scale != 1 or self.logit_softcap is not None

    @property
    def d_q(self) -> int:
        """Width of all query heads side by side."""
        return self.n_heads * self.d_head

    @property
    def d_kv(self) -> int:
        """Width of all key heads (or all value heads) side by side."""
        return self.n_kv_heads * self.d_head

    @property
    def attention_kind(self) -> Literal["MHA", "GQA", "MQA"]:
        """MHA: a KV head per query head; MQA (arXiv:1911.02150): one for all; GQA
        (arXiv:2305.13245): one per group."""
        if self.n_kv_heads == self.n_heads:
            return "MHA"
        return "MQA" if self.n_kv_heads == 1 else "GQA"

    def kv_values_per_token(self) -> int:
        """Numbers that one token adds to the KV cache: keys and values, every layer."""
        return 2 * self.n_layers * self.d_kv
