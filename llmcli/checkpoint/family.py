"""What one row of the family table holds, and how a row derives from another.

It knows nothing of any particular family.
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
