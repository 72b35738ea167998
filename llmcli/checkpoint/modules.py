"""The modules of the core that hold parameters, in natural order: parts, widths, biases.

It knows nothing of what checkpoints call them or how they store them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from llmcli.core.config import ModelConfig


@dataclass(frozen=True)
class Part:
    """Rows of a tensor that stand for one concept: W_Q, or its bias b_Q."""

    concept: str
    rows: int


@dataclass(frozen=True)
class Module:
    """A module of the core: its parts, and its input width (None: a vector)."""

    target: str
    component: str
    parts: tuple[Part, ...]
    columns: int | None
    bias: bool = False


def modules(config: ModelConfig) -> Iterator[tuple[int | None, Module]]:
    d = config.d_model
    yield None, Module("embed", "embeddings", (Part("W_E", config.vocab_size),), d)
    if config.learned_positions is not None:
        rows = config.learned_positions
        yield None, Module("positions", "positions", (Part("W_pos", rows),), d)
    block = tuple(_block(config))
    for layer in range(config.n_layers):
        for module in block:
            yield layer, module
    yield None, _norm(config, "final_norm", "final_norm", d)
    if not config.tied:
        yield None, Module("head", "lm_head", (Part("W_unembed", config.vocab_size),), d)


def _block(config: ModelConfig) -> Iterator[Module]:
    d, d_ff = config.d_model, config.d_ff
    before = config.norm_places in ("before", "both")
    after = config.norm_places in ("after", "both")
    if before:
        yield _norm(config, "blocks.{i}.norm1", "norm1", d)
    qkv = (Part("W_Q", config.d_q), Part("W_K", config.d_kv), Part("W_V", config.d_kv))
    yield Module("blocks.{i}.attn.qkv", "attention", qkv, d, config.qkv_bias)
    if config.qk_norm != "none":
        all_heads = config.qk_norm == "all_heads"
        widths = (config.d_q, config.d_kv) if all_heads else (config.d_head, config.d_head)
        yield _norm(config, "blocks.{i}.attn.q_norm", "norm_Q", widths[0])
        yield _norm(config, "blocks.{i}.attn.k_norm", "norm_K", widths[1])
    yield Module("blocks.{i}.attn.out", "attention", (Part("W_O", d),), config.d_q, config.out_bias)
    if after:
        yield _norm(config, "blocks.{i}.post1", "post_norm1", d)
    if before:
        yield _norm(config, "blocks.{i}.norm2", "norm2", d)
    if config.gated:
        gate_up = (Part("W_gate", d_ff), Part("W_up", d_ff))
        yield Module("blocks.{i}.mlp.gate_up", "mlp", gate_up, d, config.mlp_bias)
    else:
        yield Module("blocks.{i}.mlp.up", "mlp", (Part("W_up", d_ff),), d, config.mlp_bias)
    yield Module("blocks.{i}.mlp.down", "mlp", (Part("W_down", d),), d_ff, config.mlp_bias)
    if after:
        yield _norm(config, "blocks.{i}.post2", "post_norm2", d)


def _norm(config: ModelConfig, target: str, concept: str, width: int) -> Module:
    return Module(target, "norms", (Part(concept, width),), None, config.norm == "layer")
