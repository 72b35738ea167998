"""What a tensor that holds several matrices side by side is made of: its parts, as views.

It knows where each part lies in the tensor; it reads no numbers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from llmcli.checkpoint.layout import Expected


@dataclass(frozen=True)
class TensorView:
    """Positions `start` to `stop` (not included) of dimension `dim` of the tensor above it, or,
    where that is packed, of the matrix it packs, whose rows are outputs. A view is no tensor of its
    own: what it counts is counted already."""

    concept: str
    dim: int
    start: int
    stop: int
    shape: tuple[int, ...]
    heads: tuple[int, int] | None
    parameters: int


def views_of(
    expected: Expected, heads: Callable[[str], tuple[int, int] | None]
) -> tuple[TensorView, ...]:
    """The parts in order; none where the tensor is one matrix, or only serves to unpack one.
    `heads` tells how many heads a concept has, and how wide each is."""
    shape = expected.parameters
    if len(expected.parts) < 2 or shape is None:
        return ()
    dim = 1 if expected.transposed else 0
    views, start = [], 0
    for part in expected.parts:
        stop = start + part.rows
        view = (*shape[:dim], part.rows, *shape[dim + 1 :])
        own = heads(part.concept)
        views.append(TensorView(part.concept, dim, start, stop, view, own, math.prod(view)))
        start = stop
    return tuple(views)
