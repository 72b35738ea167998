"""What one row of the family table holds, how a row derives from another, and the first row.

It knows nothing of the families that derive from it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

# Where a fused module of the core is stored as several tensors, they are named in row order.
Names = Mapping[str, str | tuple[str, ...]]
# Which layers have an attention window: none; all, when `sliding_window` is set; those from
# `max_window_layers` on, when `use_sliding_window`; all but every n-th.
Windows = Literal["none", "all", "upper", "interleaved"]


@dataclass(frozen=True)
class Family:
    """One row.

    `names` maps modules of the core to modules of the checkpoint, `{i}` being the layer; `prefix`
    is one that some files leave out. `settings` maps fields of ModelConfig to keys of config.json,
    or to constants where the family has no such key; `defaults` are the reference class's own
    values for keys that a file may leave out. `only` lists settings of which one value is
    supported. Load operations: `transposed` names modules stored as (in, out); with `plus_one`
    norms are stored as their distance from 1. `harmless` matches tensors that some files carry
    and no forward pass reads.
    """

    model_type: str
    names: Names
    settings: Mapping[str, Any]
    defaults: Mapping[str, Any]
    prefix: str = "model."
    traits: Mapping[str, Any] = field(default_factory=dict)
    rope_kinds: tuple[str, ...] = ("default", "linear", "dynamic", "llama3", "yarn")
    partial_rotary: bool = False
    windows: Windows = "none"
    only: Mapping[str, Any] = field(default_factory=dict)
    transposed: frozenset[str] = frozenset()
    plus_one: bool = False
    harmless: tuple[re.Pattern[str], ...] = ()


def derive(parent: Family, model_type: str, **changes: Any) -> Family:
    """A row like `parent`, with the entries of mappings in `changes` added to or replacing its
    own, and everything else replaced."""
    merged: dict[str, Any] = {
        key: {**getattr(parent, key), **value} if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return replace(parent, model_type=model_type, **merged)


LLAMA = Family(
    model_type="llama",
    names={
        "embed": "model.embed_tokens",
        "blocks.{i}.norm1": "model.layers.{i}.input_layernorm",
        "blocks.{i}.attn.qkv": (
            "model.layers.{i}.self_attn.q_proj",
            "model.layers.{i}.self_attn.k_proj",
            "model.layers.{i}.self_attn.v_proj",
        ),
        "blocks.{i}.attn.q_norm": "model.layers.{i}.self_attn.q_norm",
        "blocks.{i}.attn.k_norm": "model.layers.{i}.self_attn.k_norm",
        "blocks.{i}.attn.out": "model.layers.{i}.self_attn.o_proj",
        "blocks.{i}.norm2": "model.layers.{i}.post_attention_layernorm",
        "blocks.{i}.mlp.gate_up": (
            "model.layers.{i}.mlp.gate_proj",
            "model.layers.{i}.mlp.up_proj",
        ),
        "blocks.{i}.mlp.down": "model.layers.{i}.mlp.down_proj",
        "final_norm": "model.norm",
        "head": "lm_head",
    },
    settings={
        "vocab_size": "vocab_size",
        "d_model": "hidden_size",
        "d_ff": "intermediate_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "n_kv_heads": "num_key_value_heads",
        "d_head": "head_dim",
        "context": "max_position_embeddings",
        "norm_eps": "rms_norm_eps",
        "activation": "hidden_act",
        "tied": "tie_word_embeddings",
        "qkv_bias": "attention_bias",
        "out_bias": "attention_bias",
        "mlp_bias": "mlp_bias",
    },
    defaults={
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": None,  # as many as query heads
        "head_dim": None,  # hidden_size / num_attention_heads
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
    },
    harmless=(re.compile(r"(model\.)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq"),),
)
NO_BIAS = {"qkv_bias": False, "out_bias": False, "mlp_bias": False}
