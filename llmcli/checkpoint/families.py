"""The table of model families: model_type -> weight names and what an absent setting means.

A family is data: one row. It knows nothing of any particular checkpoint's sizes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Where a fused module of the core is stored as several tensors, they are named in row order.
Names = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class Family:
    """One row. `names` maps modules of the core to modules of the checkpoint, `{i}` being the
    layer; `defaults` are the reference class's own values for keys that a config.json may leave
    out; `harmless` matches tensors that some files carry and no forward pass reads."""

    model_type: str
    names: Names
    defaults: Mapping[str, Any]
    harmless: tuple[re.Pattern[str], ...] = field(default=())


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
    harmless=(re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"),),
)

FAMILIES: Mapping[str, Family] = {family.model_type: family for family in (LLAMA,)}
