"""Plain matrices -> quantized ones: int8 by rows, int4 in groups of 32.

It knows nothing of models: which matrices are quantized, and when, is for who loads them.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from llmcli.core import kernels
from llmcli.core.kernels import native
from llmcli.core.linear import QuantizedLinear
from llmcli.core.ops import KINDS
from llmcli.core.packing import pack_codes, pack_groups, row_blocks
from llmcli.core.schemes import PackScheme
from llmcli.core.tiles import TILE, padded, padded_rows

# Scales that are tried for a group of 4 bits, as parts of the one that uses the range to its end:
# clipping the largest number a little is often worth the finer steps for all others.
_SHRINKS = (1.0, 0.92, 0.84, 0.76)


def quantize(
    weight: Tensor,
    scheme: PackScheme,
    bias: Tensor | None = None,
    new: Callable[..., Tensor] | None = None,
) -> QuantizedLinear:
    """The linear map by `weight` (out, in), rounded. Rows do not look at each other: a part of
    them becomes what it becomes within the whole. `new` makes the tensors that are held, as
    `torch.empty` does, and without it that."""
    new = new or partial(torch.empty, device=weight.device)
    rows, columns = weight.shape
    tiles, bits = padded_rows(rows) // TILE, scheme.bits
    runs, groups = padded(columns) * bits // 32, -(-columns // (scheme.group or columns))
    codes = new((tiles, runs, TILE), dtype=torch.int32)
    scales = new((tiles, groups, TILE), dtype=torch.float16)
    for part in row_blocks(rows, columns):
        block = slice(part.start // TILE, -(-part.stop // TILE))
        codes[block], scales[block] = _round_block(weight[part], scheme)
    return QuantizedLinear(
        codes, scales, shape=weight.shape, bits=bits, group=scheme.group, bias=bias
    )


def _round_block(weight: Tensor, scheme: PackScheme) -> tuple[Tensor, Tensor]:
    """Codes and scales as `packing` lays them."""
    if weight.dtype != torch.bfloat16:
        weight = weight.float()
    packed = _round_natively(weight, scheme.bits, scheme.group)
    if packed is None:
        codes, scales = _round(weight.float(), scheme)
        packed = pack_codes(codes, scheme.bits), pack_groups(scales)
    return packed


def _round_natively(weight: Tensor, bits: int, group: int | None) -> tuple[Tensor, Tensor] | None:
    """Codes and scales of weight (out, in) as `packing` lays them; None where no kernel runs."""
    if kernels.chosen() == "torch" or not weight.is_cpu or weight.dtype not in KINDS:
        return None
    weight = weight.contiguous()
    n_out, n_in = weight.shape
    tiles, columns = padded_rows(n_out) // TILE, padded(n_in)
    codes = torch.empty((tiles, columns * bits // 32, TILE), dtype=torch.int32)
    scales = torch.empty((tiles, columns // (group or columns), TILE), dtype=torch.float16)
    native.quantize(
        n_in,
        n_out,
        bits,
        group or columns,
        weight.data_ptr(),
        KINDS[weight.dtype],
        codes.data_ptr(),
        scales.data_ptr(),
    )
    return codes, scales


def _round(weight: Tensor, scheme: PackScheme) -> tuple[Tensor, Tensor]:
    """fp32 (rows, columns) -> codes uint8 (rows, columns), scales fp16 (rows, groups).

    The number of largest magnitude gets the code 0, the end of the longer half of the range (as in
    llama.cpp's Q4_0); of 4 bits, a few smaller scales are tried, and the best kept.
    """
    rows, columns = weight.shape
    group = scheme.group or columns
    groups = F.pad(weight, (0, -columns % group)).view(rows, -1, group)
    middle = 1 << (scheme.bits - 1)
    extreme = groups.gather(2, groups.abs().argmax(2, keepdim=True))
    codes, scales = torch.zeros_like(groups), torch.zeros_like(extreme)
    least = torch.full_like(extreme, torch.inf)
    for shrink in _SHRINKS if scheme.bits == 4 else _SHRINKS[:1]:
        scale = (extreme * (-shrink / middle)).half().float()
        steps = (groups / torch.where(scale == 0, 1, scale)).round_().clamp_(-middle, middle - 1)
        error = (steps * scale).sub_(groups).square_().sum(2, keepdim=True)
        better = error < least
        codes, scales = torch.where(better, steps, codes), torch.where(better, scale, scales)
        least = torch.minimum(error, least)
    return (codes + middle).to(torch.uint8).flatten(1)[:, :columns], scales.squeeze(2).half()
