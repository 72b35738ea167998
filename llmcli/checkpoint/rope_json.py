"""How config.json says that positions rotate, in its v4 and v5 spellings, -> Rope.

v4 has a flat `rope_theta` and a `rope_scaling`; v5 keeps everything in `rope_parameters`, per kind
of layer where they differ. It knows nothing of which layers there are.
"""

import math
from typing import Any

from llmcli.checkpoint.family import Family
from llmcli.checkpoint.settings import Settings
from llmcli.core.config import Rope

# Spellings of old files -> today's. Phi-3's early files say "su", some even "yarn".
_OLD_NAMES = {"su": "longrope"}
_PHI3_OLD_NAMES = {"su": "longrope", "yarn": "longrope"}
_DEFAULTS: dict[str, Any] = {"truncate": True}


def read_rope(family: Family, settings: Settings, d_head: int, context: int, layer: str) -> Rope:
    """The Rope of one kind of layer, "full_attention" or "sliding_attention".

    Raises InvalidModelError for a kind that is unknown or that the family does not have.
    """
    section, theta_key = _section(settings, layer)
    theta = (section if section.has("rope_theta") else settings).number(
        "rope_theta" if section.has("rope_theta") else theta_key
    )
    dim = _rotated(family, settings, section, d_head)
    spelled = "rope_type" if section.has("rope_type") or not section.has("type") else "type"
    name = section.text(spelled) if section.has(spelled) else "default"
    old_names = _OLD_NAMES if "yarn" in family.rope_kinds else _PHI3_OLD_NAMES
    name = old_names.get(name, name)
    if name not in family.rope_kinds:
        known = ", ".join(family.rope_kinds)
        raise section.error(spelled, f"{name!r} is not supported (supported: {known})")
    if name == "default":
        return Rope(theta, dim)
    if name == "linear":
        return Rope(theta, dim, "linear", section.number("factor"))
    if name == "dynamic":
        return Rope(theta, dim, "dynamic", section.number("factor"), context)
    if name == "longrope":
        return _longrope(settings, section, theta, dim, context)
    original = context
    for owner in (section, settings):
        if owner.has("original_max_position_embeddings"):
            original = owner.integer("original_max_position_embeddings")
    if name == "yarn":
        return _yarn(section, theta, dim, context, original)
    low, high = section.number("low_freq_factor"), section.number("high_freq_factor")
    factor = section.number("factor")
    return Rope(theta, dim, "llama3", factor, original, low_freq_factor=low, high_freq_factor=high)


def _section(settings: Settings, layer: str) -> tuple[Settings, str]:
    """The object that describes this kind of layer, and the flat key of its theta."""
    local = layer == "sliding_attention" and settings.has_default("rope_local_base_freq")
    theta_key = "rope_local_base_freq" if local else "rope_theta"
    section = settings.section("rope_parameters", _DEFAULTS)
    if section is not None:
        nested = section.section(layer, _DEFAULTS)
        return (nested or section), theta_key
    # A model with two thetas stretches only the layers that see everything.
    scaling = None if local else settings.section("rope_scaling", _DEFAULTS)
    return (scaling or settings.empty()), theta_key


def _rotated(family: Family, settings: Settings, section: Settings, d_head: int) -> int:
    owner = section if section.has("partial_rotary_factor") else settings
    if family.partial_rotary:
        return int(d_head * owner.number("partial_rotary_factor"))
    if owner.has("partial_rotary_factor") and owner.number("partial_rotary_factor") != 1:
        raise owner.error("partial_rotary_factor", "is not supported for this family")
    return d_head


def _longrope(settings: Settings, section: Settings, theta: float, dim: int, context: int) -> Rope:
    owner = settings if settings.has("original_max_position_embeddings") else section
    if not owner.has("original_max_position_embeddings"):
        owner = settings
    original = owner.integer("original_max_position_embeddings")
    if section.has("attention_factor"):
        scale = section.number("attention_factor")
    else:
        factor = section.number("factor") if section.has("factor") else context / original
        scale = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    return Rope(
        theta,
        dim,
        "longrope",
        original_context=original,
        scale=scale,
        short_factors=section.numbers("short_factor"),
        long_factors=section.numbers("long_factor"),
    )


def _yarn(section: Settings, theta: float, dim: int, context: int, original: int) -> Rope:
    factor = section.number("factor") if section.has("factor") else context / original
    if section.has("attention_factor"):
        scale = section.number("attention_factor")
    elif section.has("mscale") and section.has("mscale_all_dim"):
        scale = _mscale(factor, section.number("mscale")) / _mscale(
            factor, section.number("mscale_all_dim")
        )
    else:
        scale = _mscale(factor, 1.0)
    return Rope(
        theta,
        dim,
        "yarn",
        factor,
        original,
        scale,
        beta_fast=section.number("beta_fast") if section.has("beta_fast") else 32.0,
        beta_slow=section.number("beta_slow") if section.has("beta_slow") else 1.0,
        whole_dimensions=section.boolean("truncate"),
    )


def _mscale(factor: float, weight: float) -> float:
    """YaRN's growth of attention with the stretch."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0
