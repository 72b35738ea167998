"""Rotary position embedding: frequencies, their stretching, the rotation itself.

It knows nothing of where a position comes from.
"""

import math
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from llmcli.core.config import Rope

_SHORTEST_TABLE = 1024  # positions


def inverse_frequencies(rope: Rope, length: int, device: torch.device) -> Tensor:
    """Radians that each pair of numbers turns per position, (dim / 2,) in fp32.

    `length` is the number of positions in sight, which dynamic and longrope look at.
    """
    theta = rope.theta
    if rope.kind == "dynamic":
        stretch = rope.factor * max(length, rope.original_context) / rope.original_context
        theta *= (stretch - (rope.factor - 1)) ** (rope.dim / (rope.dim - 2))
    exponents = torch.arange(0, rope.dim, 2, dtype=torch.int64, device=device).float() / rope.dim
    if rope.kind == "longrope":
        long = length > rope.original_context
        factors = torch.tensor(rope.long_factors if long else rope.short_factors, device=device)
        return 1.0 / (factors * theta**exponents)
    frequencies = 1.0 / (theta**exponents)
    if rope.kind == "linear":
        return frequencies / rope.factor
    if rope.kind == "llama3":
        return _llama3(rope, frequencies)
    if rope.kind == "yarn":
        return _yarn(rope, frequencies)
    return frequencies


def _llama3(rope: Rope, frequencies: Tensor) -> Tensor:
    """Llama 3.1's rule: waves longer than the low bound are slowed by `factor`, waves shorter than
    the high bound are kept, and those between are blended linearly."""
    wavelengths = 2 * math.pi / frequencies
    turns = rope.original_context / wavelengths
    share_kept = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    return _blend(rope, frequencies, share_kept.clamp(0, 1))


def _yarn(rope: Rope, frequencies: Tensor) -> Tensor:
    """Dimensions that turn more than `beta_fast` times in the original context are kept, those
    that turn less than `beta_slow` times are slowed, and those between are blended linearly."""

    def dimension(turns: float) -> float:
        return (rope.dim * math.log(rope.original_context / (turns * 2 * math.pi))) / (
            2 * math.log(rope.theta)
        )

    low, high = dimension(rope.beta_fast), dimension(rope.beta_slow)
    if rope.whole_dimensions:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.dim - 1)
    if low == high:
        high += 0.001  # a step instead of a ramp
    places = torch.arange(rope.dim // 2, dtype=torch.float32, device=frequencies.device)
    return _blend(rope, frequencies, 1 - ((places - low) / (high - low)).clamp(0, 1))


def _blend(rope: Rope, frequencies: Tensor, share_kept: Tensor) -> Tensor:
    return (1 - share_kept) * frequencies / rope.factor + share_kept * frequencies


class Rotation:
    """Cosines and sines for positions start .. start + T - 1, ready for every layer of one pass.

    `positions`: those that the same frequencies, and the table that they are rows of, serve."""

    def __init__(
        self, rope: Rope, start: int, count: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._dtype = dtype
        length = start + count
        changing = rope.kind in ("dynamic", "longrope")
        past = changing and length > rope.original_context
        if rope.kind == "dynamic" and past:  # every length has frequencies of its own
            self.cos, self.sin = _turns(rope, length, start, count, device)  # (T, dim), fp32
            self.positions = range(start, length)
            return
        table = table_of(rope, length, length, device)
        self.cos, self.sin = table[:, start:length]
        first, last = (rope.original_context, table.shape[1]) if past else (0, table.shape[1])
        if changing and not past:
            last = min(last, rope.original_context)
        self.positions = range(first, last)

    @classmethod
    def at(cls, position: Tensor, table: Tensor, dtype: torch.dtype) -> "Rotation":
        """For the one position that `position` (1,) holds on the device."""
        rotation = object.__new__(cls)
        rotation._dtype = dtype
        rotation.cos, rotation.sin = table.index_select(1, position)
        return rotation

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate the first `dim` numbers of every head of x, (B, T, heads, D)."""
        dim = self.cos.shape[-1]
        if dim < x.shape[-1]:
            return torch.cat((self(x[..., :dim]), x[..., dim:]), dim=-1)
        first, second = x.chunk(2, dim=-1)
        cos, sin = self._rounded
        return x * cos + torch.cat((-second, first), dim=-1) * sin

    @cached_property
    def _rounded(self) -> tuple[Tensor, Tensor]:
        """(T, 1, dim) each, in the dtype of x."""
        return self.cos.to(self._dtype).unsqueeze(1), self.sin.to(self._dtype).unsqueeze(1)


def table_of(rope: Rope, length: int, room: int, device: torch.device) -> Tensor:
    """fp32 (2, `room` or more, dim): cosines and sines of positions from 0 on, with `length` of
    them in sight, within dynamic scaling's original context."""
    rows = max(1 << (room - 1).bit_length(), _SHORTEST_TABLE)
    past = rope.kind == "longrope" and length > rope.original_context
    return _table(rope, past, rows, device)


@lru_cache(maxsize=8)
def _table(rope: Rope, past_original: bool, rows: int, device: torch.device) -> Tensor:
    """`_turns` of the positions from 0 on, with the frequencies for one side of the original
    context's end."""
    with torch.inference_mode(False):  # fit for training too, whoever asks first
        return _turns(rope, rope.original_context + past_original, 0, rows, device)


def _turns(rope: Rope, length: int, start: int, count: int, device: torch.device) -> Tensor:
    """fp32 (2, count, dim): cosines and sines of positions from `start` on, with `length` of them
    in sight."""
    frequencies = inverse_frequencies(rope, length, device)
    positions = torch.arange(start, start + count, device=device).float()
    angles = torch.outer(positions, frequencies)  # (T, dim / 2)
    angles = torch.cat((angles, angles), dim=-1)  # (T, dim): halves, not neighbours, pair up
    return torch.stack((angles.cos(), angles.sin())) * rope.scale
