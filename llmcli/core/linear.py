"""Matrices of the model: linear maps, plain and quantized, and the embedding table.

They are allocated but not initialised: whoever builds a decoder fills them, from a checkpoint or as
training wants it. They know nothing of where they stand in the model.

A linear map has `in_features`, `out_features`, `forward(x)`, `dequantize()` and `nbytes`; who calls
it never asks which kind it is.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """y = x W^T + b, weight (out_features, in_features)."""

    def reset_parameters(self) -> None:
        """Nothing: initial values would be drawn only to be replaced, at the price of seconds."""

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None = None) -> "Linear":
        """The map by these very tensors."""
        linear = cls(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        linear.weight = nn.Parameter(weight, requires_grad=False)
        if bias is not None:
            linear.bias = nn.Parameter(bias, requires_grad=False)
        return linear

    def dequantize(self) -> Tensor:
        """W as it is computed with, (out_features, in_features)."""
        return self.weight

    @property
    def nbytes(self) -> int:
        """Bytes of memory for weight and bias."""
        return _nbytes(self)


class Embedding(nn.Embedding):
    """A row for each id, weight (vocab_size, d_model)."""

    def reset_parameters(self) -> None:
        """Nothing, as for `Linear`."""


class QuantizedLinear(nn.Module):
    """y = x W^T + b, where W is held as whole numbers: W = (code - zero) * scale.

    A row's columns fall into equal groups with a zero point and a scale each. Codes of up to 4 bits
    lie two in a byte, the column of even number in the low half; wider ones take a byte each. Where
    groups gather columns that lie scattered, columns are held group by group: the j-th is column
    `order[j]` of W. Each call dequantizes afresh, into memory that it gives back.
    """

    in_features: int
    out_features: int
    codes: Tensor  # uint8 (out, in / 2) or (out, in)
    zeros: Tensor  # uint8 (out, groups)
    scales: Tensor  # (out, groups), in the dtype of the activations
    order: Tensor | None  # int32 (in,)
    bias: Tensor | None

    def __init__(
        self,
        codes: Tensor,
        zeros: Tensor,
        scales: Tensor,
        *,
        bits: int,
        order: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        """`codes` uint8 (out, in), below 2**bits, in held order; an even number of columns where
        bits <= 4, and a multiple of the number of groups."""
        super().__init__()
        self.out_features, self.in_features = codes.shape
        self.halves = bits <= 4
        packed = codes[:, 0::2] | (codes[:, 1::2] << 4) if self.halves else codes.contiguous()
        self.register_buffer("codes", packed)
        self.register_buffer("zeros", zeros)
        self.register_buffer("scales", scales)
        self.register_buffer("order", None if order is None else order.to(torch.int32))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) -> (..., out_features)."""
        if self.order is not None:
            x = x[..., self.order]
        return F.linear(x, self._matrix(), self.bias)

    def dequantize(self) -> Tensor:
        """W, (out_features, in_features), in the dtype of the scales."""
        matrix = self._matrix()
        return matrix if self.order is None else matrix[:, torch.argsort(self.order)]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that are held between calls."""
        return _nbytes(self)

    def _matrix(self) -> Tensor:
        """W with its columns in held order."""
        codes = self.codes
        if self.halves:
            codes = torch.stack((codes & 15, codes >> 4), dim=-1)
        groups = codes.reshape(*self.zeros.shape, -1).to(self.scales.dtype)
        groups = groups.sub_(self.zeros.unsqueeze(-1)).mul_(self.scales.unsqueeze(-1))
        return groups.reshape(self.out_features, self.in_features)


class JoinedLinear(nn.Module):
    """Linear maps of one input with their outputs side by side: a fused map whose parts cannot be
    one matrix, as some are quantized and some not, or group their columns in other orders."""

    in_features: int
    out_features: int
    bias: Tensor | None

    def __init__(self, parts: Sequence["AnyLinear"], bias: Tensor | None) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.in_features = parts[0].in_features
        self.out_features = sum(part.out_features for part in parts)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) -> (..., out_features)."""
        y = torch.cat([part(x) for part in self.parts], dim=-1)
        return y if self.bias is None else y + self.bias

    def dequantize(self) -> Tensor:
        """W, (out_features, in_features)."""
        parts = cast(Sequence["AnyLinear"], self.parts)
        return torch.cat([part.dequantize() for part in parts])

    @property
    def nbytes(self) -> int:
        """Bytes of memory that are held between calls."""
        return _nbytes(self)


def _nbytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


AnyLinear = Linear | QuantizedLinear | JoinedLinear
