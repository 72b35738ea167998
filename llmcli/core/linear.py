"""Matrices of the model: linear maps, plain and quantized, and the embedding table.

They are allocated but not initialised: whoever builds a decoder fills them, from a checkpoint or as
training wants it. They know nothing of where they stand in the model.

A linear map has `in_features`, `out_features`, `forward(x)`, `dequantize()` and `nbytes`; who calls
it never asks which kind it is.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from llmcli.core import ops
from llmcli.core.packing import (
    pack_codes,
    pack_groups,
    row_blocks,
    unpack_codes,
    unpack_groups,
)
from llmcli.core.tiles import TILE, padded


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

    def forward(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """x (..., in_features) -> (..., out_features), in `dtype` or x's own."""
        return ops.linear(x, self.weight, self.bias, dtype)

    def dequantize(self) -> Tensor:
        """W as it is computed with, (out_features, in_features)."""
        return self.weight

    @property
    def nbytes(self) -> int:
        """Bytes of memory for weight and bias."""
        return _nbytes(self)


class Embedding(nn.Embedding):
    """A row for each id, weight (vocab_size, d_model); where tied, the unembedding too."""

    computed_in: torch.dtype | None = None  # where that is not what the weight is held in

    def reset_parameters(self) -> None:
        """Nothing, as for `Linear`."""

    def forward(self, ids: Tensor) -> Tensor:
        """ids (...) -> (..., d_model) in `dtype`."""
        if ids.numel() == 1 and ids.is_cpu and not torch.is_grad_enabled():
            return ops.row(self.weight, int(ids), self.dtype).view(*ids.shape, -1)
        return super().forward(ids).to(self.dtype)

    def at(self, position: int, dtype: torch.dtype) -> Tensor:
        """The row of one position on the CPU, (d_model,)."""
        return ops.row(self.weight, position, dtype, by_position=True)

    @property
    def dtype(self) -> torch.dtype:
        return self.computed_in or self.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def unembed(self, hidden: Tensor) -> Tensor:
        """States (..., d_model) -> logits (..., vocab_size) in fp32."""
        return ops.linear(hidden, self.weight, None, torch.float32)


class QuantizedLinear(nn.Module):
    """y = x W^T + b, where W is held as whole numbers: W = (code - zero) * scale.

    A row's columns fall into groups with a scale each, in fp16, and a zero point, which is the
    middle of the range where there are none. Codes take 4 or 8 bits; `packing` says how they lie.
    Where groups gather columns that lie scattered, columns are held group by group: the j-th is
    column `order[j]` of W. The input is rounded too, to 16 bits in groups of 32, where the native
    kernels run; torch multiplies with W dequantized block by block.
    """

    codes: Tensor  # int32 (tiles, runs, 16)
    zeros: Tensor | None  # uint8 (tiles, groups, 16)
    scales: Tensor  # fp16 (tiles, groups, 16)
    order: Tensor | None  # int32 (in,)
    bias: Tensor | None

    def __init__(
        self,
        codes: Tensor,
        scales: Tensor,
        zeros: Tensor | None = None,
        *,
        shape: Sequence[int],
        bits: int,
        group: int | None,
        order: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        """Packed tensors of a matrix of `shape` (out, in), of 4 or 8 `bits`; `group` columns to a
        scale and zero point, a multiple of 32, or None for whole rows."""
        super().__init__()
        self.out_features, self.in_features = shape
        self.bits = bits
        self.group = padded(self.in_features) if group is None else group
        self.register_buffer("codes", codes)
        self.register_buffer("zeros", zeros)
        self.register_buffer("scales", scales)
        self.register_buffer("order", None if order is None else order.to(torch.int32))
        self.register_buffer("bias", bias)

    @classmethod
    def of(
        cls,
        codes: Tensor,
        scales: Tensor,
        zeros: Tensor | None = None,
        *,
        bits: int,
        group: int | None,
        order: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> "QuantizedLinear":
        """From `codes` uint8 (out, in) in held order, below 2**bits, and `scales` and `zeros` (out,
        groups); codes of less than 4 bits are held as 4."""
        bits = 4 if bits <= 4 else 8
        return cls(
            pack_codes(codes, bits),
            pack_groups(scales.to(torch.float16)),
            None if zeros is None else pack_groups(zeros),
            shape=codes.shape,
            bits=bits,
            group=group,
            order=order,
            bias=bias,
        )

    def forward(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """x (..., in_features) -> (..., out_features), in `dtype` or x's own."""
        if self.order is not None:
            x = ops.gather(x, self.order)
        return ops.packed_linear(x, self, dtype)

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """W, (out_features, in_features)."""
        blocks = row_blocks(self.out_features, self.in_features)
        matrix = torch.cat([self.rows(part, dtype) for part in blocks])
        return matrix if self.order is None else matrix[:, torch.argsort(self.order)]

    def rows(self, part: slice, dtype: torch.dtype) -> Tensor:
        """Rows of W, with its columns in held order."""
        tiles = slice(part.start // TILE, -(-part.stop // TILE))
        codes = unpack_codes(self.codes[tiles], self.bits, self.in_features)
        scales = self._per_column(self.scales[tiles]).float()
        middle = 1 << (self.bits - 1)
        zeros = middle if self.zeros is None else self._per_column(self.zeros[tiles])
        first = part.start % TILE
        return ((codes.float() - zeros) * scales)[first : first + part.stop - part.start].to(dtype)

    def _per_column(self, packed: Tensor) -> Tensor:
        wide = unpack_groups(packed).repeat_interleave(self.group, dim=1)
        return wide[:, : self.in_features]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that are held between calls."""
        return _nbytes(self)


class QuantizedEmbedding(nn.Module):
    """A row for each id, and the unembedding by the same matrix, held as whole numbers."""

    def __init__(self, matrix: QuantizedLinear, dtype: torch.dtype) -> None:
        """`dtype` is that of the rows."""
        super().__init__()
        self.matrix, self.dtype = matrix, dtype

    @property
    def device(self) -> torch.device:
        return self.matrix.codes.device

    def forward(self, ids: Tensor) -> Tensor:
        """ids (...) -> (..., d_model)."""
        matrix = self.matrix
        if ids.numel() == 1 and ids.is_cpu:
            return ops.row(matrix, int(ids), self.dtype).view(*ids.shape, matrix.in_features)
        flat = ids.flatten()
        tile, row = flat // TILE, flat % TILE
        words = matrix.codes[tile, :, row].unsqueeze(1).unsqueeze(-1)  # a tile of one row each
        codes = unpack_codes(words.squeeze(-1).transpose(1, 2), matrix.bits, matrix.in_features)
        scales = matrix.scales[tile, :, row].float().repeat_interleave(matrix.group, dim=1)
        middle = 1 << (matrix.bits - 1)
        rows = (codes.float() - middle) * scales[:, : matrix.in_features]
        return rows.to(self.dtype).view(*ids.shape, matrix.in_features)

    def unembed(self, hidden: Tensor) -> Tensor:
        """States (..., d_model) -> logits (..., vocab_size) in fp32."""
        return self.matrix.forward(hidden, torch.float32)


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

    def forward(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """x (..., in_features) -> (..., out_features), in `dtype` or x's own."""
        y = torch.cat([part(x, dtype) for part in self.parts], dim=-1)
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
