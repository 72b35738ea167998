"""Observation points of the forward pass: one callable sees, and may replace, each activation.

Names follow TransformerLens without its `hook_`: `embed`, `blocks.{i}.resid_pre`, `.attn.q .k .v`
(before RoPE, (B, T, heads, D)), `.attn.scores .pattern` ((B, H, T, S)), `.attn.z`, `.attn_out`,
`.resid_mid`, `.mlp.pre .mlp.up .mlp.post`, `.mlp_out`, `.resid_post`, `final_norm`, `logits`.
It knows nothing of what is done with them.
"""

from collections.abc import Callable

from torch import Tensor

Tap = Callable[[str, Tensor], Tensor]


def point(tap: Tap | None, name: str, value: Tensor) -> Tensor:
    """Show `value` to the tap, if there is one, and go on with what it returns."""
    return value if tap is None else tap(name, value)
