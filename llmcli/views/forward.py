"""The forward pass of a model in steps, with its own sizes: what is computed, and of what shape.

It follows `core.model` step by step; it knows nothing of files or looks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from llmcli.core.config import Layer, ModelConfig, Rope

Place = Literal["stream", "branch", "add"]
Size = int | str  # T: positions of the pass; S: positions seen, with those in the KV cache


@dataclass(frozen=True)
class Step:
    """One step. `place`: on the residual stream, on a branch beside it, or where the branch is
    added to it. `per_block`: it is done in every block."""

    name: str
    does: str
    shape: tuple[Size, ...]
    place: Place
    per_block: bool


@dataclass(frozen=True)
class LayerKind:
    """Layers, as numbers, that treat positions alike."""

    layers: tuple[int, ...]
    window: int | None
    rope: str | None


@dataclass(frozen=True)
class ForwardPass:
    blocks: int
    steps: tuple[Step, ...]
    layer_kinds: tuple[LayerKind, ...]


def forward_pass(config: ModelConfig) -> ForwardPass:
    kinds: dict[Layer, list[int]] = {}
    for index, layer in enumerate(config.layers):
        kinds.setdefault(layer, []).append(index)
    return ForwardPass(
        blocks=config.n_layers,
        steps=(*_before(config), *_attention(config), *_mlp(config), *_after(config)),
        layer_kinds=tuple(
            LayerKind(
                tuple(layers),
                _window(layer, config),
                None if layer.rope is None else rope_words(layer.rope),
            )
            for layer, layers in kinds.items()
        ),
    )


def rope_words(rope: Rope) -> str:
    """`theta 100,000`, and how it is stretched."""
    words = [f"theta {rope.theta:,.10g}"]
    if rope.kind == "longrope":
        words.append(f"longrope past {rope.original_context:,}")
    elif rope.kind != "default":
        words.append(f"{rope.kind} × {rope.factor:g}")
    return ", ".join(words)


def _before(config: ModelConfig) -> Iterator[Step]:
    d = config.d_model
    yield Step("tokens", "ids", ("T",), "stream", False)
    yield Step("W_E", "the row of each token", ("T", d), "stream", False)
    if config.embedding_scale != 1:
        yield Step("scale", f"× {config.embedding_scale:.6g}", ("T", d), "stream", False)
    if config.learned_positions is not None:
        yield Step("W_pos", "+ the row of each position", ("T", d), "stream", False)


def _attention(config: ModelConfig) -> Iterator[Step]:
    d, n_heads, n_kv, d_head = config.d_model, config.n_heads, config.n_kv_heads, config.d_head
    if config.norm_places != "after":
        yield _branch("norm1", _norm(config), ("T", d))
    bias = " + b_{}" if config.qkv_bias else ""
    for name, count in (("Q", n_heads), ("K", n_kv), ("V", n_kv)):
        heads = "head" if count == 1 else "heads"
        does = f"W_{name} x{bias.format(name)}: {count} {heads} of {d_head}"
        yield _branch(name, does, ("T", count, d_head))
    if config.qk_norm != "none":
        which = "each head" if config.qk_norm == "head" else "all heads at once"
        yield _branch("norm_Q,K", f"{which}: {_norm(config)}", ("T", n_heads, d_head))
    yield from _rope(config)
    yield _branch("KV cache", "K and V join those of earlier tokens", ("S", n_kv, d_head))
    group = n_heads // n_kv
    shared = "" if group == 1 else f", {group} query heads to a KV head"
    usual = abs(config.attention_scale - d_head**-0.5) < 1e-9
    factor = f"/ √{d_head}" if usual else f"× {config.attention_scale:.6g}"
    yield _branch("scores", f"Q Kᵀ {factor}{shared}", (n_heads, "T", "S"))
    if config.attention_softcap is not None:
        yield _branch("soft cap", _cap(config.attention_softcap), (n_heads, "T", "S"))
    yield _branch("softmax", f"over {_seen(config)}", (n_heads, "T", "S"))
    yield _branch("z", "softmax × V", ("T", n_heads, d_head))
    yield _branch("W_O", f"W_O z{' + b_O' if config.out_bias else ''}", ("T", d))
    if config.norm_places != "before":
        yield _branch("post_norm1", _norm(config), ("T", d))
    yield _add(config)


def _mlp(config: ModelConfig) -> Iterator[Step]:
    d, d_ff = config.d_model, config.d_ff
    bias = " + b_{}" if config.mlp_bias else ""
    act = config.activation
    if config.norm_places != "after":
        yield _branch("norm2", _norm(config), ("T", d))
    if config.gated:
        yield _branch("gate", f"W_gate x{bias.format('gate')}", ("T", d_ff))
    yield _branch("up", f"W_up x{bias.format('up')}", ("T", d_ff))
    if config.gated:
        yield _branch("h", f"{act}(gate) × up", ("T", d_ff))
    else:
        yield _branch("h", f"{act}(up): there is no gate", ("T", d_ff))
    yield _branch("down", f"W_down h{bias.format('down')}", ("T", d))
    if config.norm_places != "before":
        yield _branch("post_norm2", _norm(config), ("T", d))
    yield _add(config)


def _after(config: ModelConfig) -> Iterator[Step]:
    yield Step("final_norm", _norm(config), ("T", config.d_model), "stream", False)
    whose = "W_E again (tied)" if config.tied else "W_unembed"
    logits = ("T", config.vocab_size)
    yield Step("logits", f"{whose}; generating, of the last alone", logits, "stream", False)
    if config.logit_scale != 1:
        yield Step("scale", f"× {config.logit_scale:.6g}", logits, "stream", False)
    if config.logit_softcap is not None:
        yield Step("soft cap", _cap(config.logit_softcap), logits, "stream", False)


def _rope(config: ModelConfig) -> Iterator[Step]:
    ropes = dict.fromkeys(layer.rope for layer in config.layers)
    turned = [rope for rope in ropes if rope is not None]
    if not turned:
        return
    parts = {rope.dim for rope in turned}
    part = f", {max(parts)} of {config.d_head} dims" if min(parts) < config.d_head else ""
    words = rope_words(turned[0]) if len(ropes) == 1 else "by layer, see below"
    does = f"{words}{part}"
    heads = f"{config.n_heads}+{config.n_kv_heads}"
    yield _branch("RoPE Q, K", does, ("T", heads, config.d_head))


def _seen(config: ModelConfig) -> str:
    windows = {_window(layer, config) for layer in config.layers}
    if windows == {None}:
        return "the positions up to its own"
    if len(windows) == 1:
        return f"the last {max(window or 0 for window in windows):,} positions"
    return "the positions it sees, by layer: see below"


def _window(layer: Layer, config: ModelConfig) -> int | None:
    """None also where a window is as wide as the context: then it leaves nothing out."""
    return None if layer.window is not None and layer.window >= config.context else layer.window


def _norm(config: ModelConfig) -> str:
    kind = "RMSNorm" if config.norm == "rms" else "LayerNorm"
    return f"{kind}, eps {config.norm_eps:g}"


def _cap(cap: float) -> str:
    return f"{cap:g} tanh(x / {cap:g})"


def _branch(name: str, does: str, shape: tuple[Size, ...]) -> Step:
    return Step(name, does, shape, "branch", True)


def _add(config: ModelConfig) -> Step:
    scaled = "" if config.residual_scale == 1 else f"{config.residual_scale:g} × "
    return Step("add", f"x + {scaled}branch", ("T", config.d_model), "add", True)
