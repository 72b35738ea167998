"""The operations of the forward pass, each done by whatever is fastest where it runs.

Few rows on the CPU, as in decoding, go through native kernels where the package was built with
them; all else through torch, whose operations are also what the kernels are tested against. It
knows nothing of the model that the operations make up.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from llmcli.core import kernels
from llmcli.core.cache import KVCache
from llmcli.core.config import Activation
from llmcli.core.cpu import has_matrix_unit, native_dtypes
from llmcli.core.kernels import native
from llmcli.core.packing import row_blocks

if TYPE_CHECKING:
    from llmcli.core.linear import QuantizedLinear

# Rows of x up to which reading the weights costs more than computing with them; FEW_ROWS in
# native/kernels.h.
FEW = 8
KINDS = {torch.float32: 0, torch.bfloat16: 1}  # those of native/kernels.h
_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16"}
_ACTIVATIONS = {"silu": 0, "gelu_tanh": 1, "relu": 2}
_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}
_WITH_BF16 = "avx512_bf16"  # the kernels that use the CPU's own products of bf16
# Numbers of a head that the attention kernel has room for.
_WIDEST_HEAD = 512


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype | None = None
) -> Tensor:
    """x W^T + b: x (..., in), weight (out, in) -> (..., out), in `dtype` or x's own."""
    rows = _native_rows(x)
    if rows and weight.dtype in KINDS and weight.is_contiguous():
        n_out, n_in = weight.shape
        y = torch.empty((*x.shape[:-1], n_out), dtype=dtype or x.dtype)
        native.dense(
            rows,
            n_in,
            n_out,
            x.data_ptr(),
            KINDS[x.dtype],
            weight.data_ptr(),
            KINDS[weight.dtype],
            0 if bias is None else bias.data_ptr(),
            0 if bias is None else KINDS[bias.dtype],
            y.data_ptr(),
            KINDS[y.dtype],
        )
        return y
    narrow = (x.dtype, weight.dtype) == (torch.float32, torch.bfloat16)
    if narrow and torch.is_grad_enabled():
        weight = weight.to(x.dtype)
    elif narrow or _working(x, dtype) != x.dtype:
        return _by_blocks(x, weight, bias, dtype)
    y = F.linear(x, weight, bias)
    return y if dtype is None else y.to(dtype)


def packed_linear(x: Tensor, matrix: "QuantizedLinear", dtype: torch.dtype | None) -> Tensor:
    """The same by a quantized matrix, its columns in held order."""
    rows, bias = _native_rows(x), matrix.bias
    if not rows:
        return _by_blocks(x, matrix, bias, dtype)
    y = torch.empty((*x.shape[:-1], matrix.out_features), dtype=dtype or x.dtype)
    native.packed(
        *_describe(matrix),
        rows,
        x.data_ptr(),
        KINDS[x.dtype],
        0 if bias is None else bias.data_ptr(),
        0 if bias is None else KINDS[bias.dtype],
        y.data_ptr(),
        KINDS[y.dtype],
    )
    return y


def _describe(matrix: "QuantizedLinear") -> tuple[int, ...]:
    return (
        matrix.in_features,
        matrix.out_features,
        matrix.bits,
        matrix.group,
        matrix.codes.data_ptr(),
        0 if matrix.zeros is None else matrix.zeros.data_ptr(),
        matrix.scales.data_ptr(),
    )


def _by_blocks(
    x: Tensor, matrix: "Tensor | QuantizedLinear", bias: Tensor | None, dtype: torch.dtype | None
) -> Tensor:
    """x W^T + b for many rows where W is not in numbers to be multiplied: W is turned into such a
    block at a time, which stays in the CPU's cache."""
    working = _working(x, dtype)
    rows = x.reshape(-1, x.shape[-1]).to(working)
    n_out, n_in = (
        matrix.shape if isinstance(matrix, Tensor) else (matrix.out_features, rows.shape[1])
    )
    y = torch.empty((len(rows), n_out), dtype=working, device=x.device)
    for part in row_blocks(n_out, n_in):
        torch.mm(rows, block(matrix, part, working).T, out=y[:, part])
    y = y.to(dtype or x.dtype)
    y = y if bias is None else y.add_(bias)
    return y.view(*x.shape[:-1], n_out)


def block(matrix: "Tensor | QuantizedLinear", part: slice, dtype: torch.dtype) -> Tensor:
    if isinstance(matrix, Tensor):
        return matrix[part].to(dtype)
    if kernels.chosen() == "torch" or not matrix.codes.is_cpu or dtype not in KINDS:
        return matrix.rows(part, dtype)
    block = torch.empty((part.stop - part.start, matrix.in_features), dtype=dtype)
    native.unpack(*_describe(matrix), part.start, part.stop, block.data_ptr(), KINDS[dtype])
    return block


def row(
    table: "Tensor | QuantizedLinear", index: int, dtype: torch.dtype, *, by_position: bool = False
) -> Tensor:
    """One row of a table on the CPU, (width,). In a pass that is recorded, replays take the row of
    their token, or of their position. Raises IndexError for a row that is not there."""
    described: tuple[int, ...]
    if isinstance(table, Tensor):
        (count, width), kind = table.shape, table.dtype
        described = *(0,) * 7, table.data_ptr()
    else:
        count, width, kind = table.out_features, table.in_features, dtype
        described = *_describe(table), 0
    if not 0 <= index < count:
        raise IndexError(f"row {index} of a table of {count}")
    known = kind in KINDS and dtype in KINDS and not torch.is_grad_enabled()
    if kernels.chosen() == "torch" or not known:
        return block(table, slice(index, index + 1), dtype)[0]
    y = torch.empty(width, dtype=dtype)
    native.embed(*described, KINDS[kind], width, index, by_position, y.data_ptr(), KINDS[dtype])
    return y


def scaled(x: Tensor, factor: float) -> Tensor:
    """x times the factor, rounded to x's dtype first, as the models were trained."""
    rounded = torch.tensor(factor, dtype=x.dtype)
    if not _runs_natively(x):
        return x * rounded
    y = torch.empty_like(x)
    native.add(x.numel(), 0, x.data_ptr(), y.data_ptr(), KINDS[x.dtype], float(rounded))
    return y


def norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """LayerNorm with a bias, RMSNorm without, over x's last dimension; parameters in fp32."""
    if _runs_natively(x) and weight.dtype == torch.float32:
        y = torch.empty_like(x)
        width = weight.shape[0]
        native.norm(
            x.numel() // width,
            width,
            x.data_ptr(),
            y.data_ptr(),
            KINDS[x.dtype],
            weight.data_ptr(),
            0 if bias is None else bias.data_ptr(),
            eps,
        )
        return y
    if bias is None:
        return F.rms_norm(x.float(), weight.shape, weight.float(), eps).to(x.dtype)
    return F.layer_norm(x.float(), weight.shape, weight.float(), bias.float(), eps).to(x.dtype)


def activate(x: Tensor, activation: Activation, *, gated: bool) -> Tensor:
    """act(x), or where x is gate and up side by side act(gate) * up."""
    if activation in _ACTIVATIONS and _runs_natively(x):
        width = x.shape[-1] // 2 if gated else x.shape[-1]
        y = torch.empty((*x.shape[:-1], width), dtype=x.dtype)
        native.activate(
            y.numel() // width,
            width,
            x.data_ptr(),
            y.data_ptr(),
            KINDS[x.dtype],
            _ACTIVATIONS[activation],
            gated,
        )
        return y
    function = _FUNCTIONS[activation]
    if not gated:
        return function(x)
    gate, up = x.chunk(2, dim=-1)
    return function(gate) * up


def add(x: Tensor, added: Tensor, scale: float) -> Tensor:
    """x + scale * added, of equal shapes."""
    if not (_runs_natively(x) and added.dtype == x.dtype and added.is_contiguous()):
        return x.add(added, alpha=scale)
    y = torch.empty_like(x)
    native.add(x.numel(), x.data_ptr(), added.data_ptr(), y.data_ptr(), KINDS[x.dtype], scale)
    return y


def gather(x: Tensor, order: Tensor) -> Tensor:
    """x[..., order], order int32 of as many columns as x has."""
    if not _runs_natively(x):
        return x[..., order]
    y, width = torch.empty_like(x), x.shape[-1]
    native.gather(
        x.numel() // width, width, x.data_ptr(), order.data_ptr(), y.data_ptr(), KINDS[x.dtype]
    )
    return y


def can_attend(qkv: Tensor, d_head: int) -> bool:
    """Whether `attend` takes queries, keys and values (B, T, widths) of this kind."""
    return d_head <= _WIDEST_HEAD and qkv.shape[0] == 1 and _native_rows(qkv) > 0


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cosines: Tensor | None,
    sines: Tensor | None,
    cache: KVCache,
    layer: int,
    *,
    window: int | None,
    scale: float,
    softcap: float | None,
) -> Tensor:
    """Causal attention: rotate q and k, write k and v to the cache, mix the values.

    q (T, H * D) and k, v (T, K * D) not yet rotated, each row contiguous; cosines and sines (T,
    dim) in fp32; the first token stands at position `cache.length` -> (1, T, H * D).
    """
    count, d_q = q.shape
    table = cache.reserve(count)
    turns = (0, 0) if cosines is None or sines is None else from_zero(cosines, sines, cache.length)
    z = torch.empty((1, count, d_q), dtype=q.dtype)
    native.attend(
        q.data_ptr(),
        k.data_ptr(),
        v.data_ptr(),
        KINDS[q.dtype],
        d_q // cache.d_head,
        k.shape[1] // cache.d_head,
        cache.d_head,
        *turns,
        0 if cosines is None else cosines.shape[1],
        layer,
        window or 0,
        z.data_ptr(),
        table.data_ptr(),
        cache.length,
        count,
        q.stride(0),
        k.stride(0),
        v.stride(0),
        scale,
        softcap or 0.0,
    )
    return z


def from_zero(cosines: Tensor, sines: Tensor, position: int) -> tuple[int, int]:
    """Where the rows (T, dim) of both from `position` on would begin if position 0 were there."""
    before = position * cosines.shape[1] * cosines.itemsize
    return cosines.data_ptr() - before, sines.data_ptr() - before


def survey(x: Tensor) -> tuple[int, float, float]:
    """Of x (n,) in fp32: where its largest number first stands, that number, ln(sum(e^x)); the last
    two are NaN where a number is."""
    if kernels.chosen() != "torch" and x.is_cpu and x.dtype == torch.float32 and x.is_contiguous():
        return native.survey(x.data_ptr(), x.numel())
    return int(x.argmax()), float(x.max()), float(torch.logsumexp(x, dim=0))


def widens(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `linear` takes x in `dtype` and W in bf16, which it widens as it reads: nothing is
    lost, and half of the memory need not be read."""
    return kernels.chosen() != "torch" and device.type == "cpu" and dtype == torch.float32


def can_record(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether one token's pass with these numbers is native operations all through."""
    native = kernels.chosen() != "torch" and device.type == "cpu" and dtype in KINDS
    return native and not torch.is_grad_enabled()


def _runs_natively(x: Tensor) -> bool:
    return (
        kernels.chosen() != "torch"
        and x.is_cpu
        and x.dtype in KINDS
        and x.is_contiguous()
        and not torch.is_grad_enabled()
    )


def _emulated(x: Tensor) -> bool:
    """Whether the CPU has no arithmetic of its own for x: by way of fp32 it is faster."""
    return (
        x.is_cpu
        and not torch.is_grad_enabled()
        and _NAMES.get(x.dtype, "fp32") not in native_dtypes()
    )


def _working(x: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """What torch multiplies in: fp32 where the CPU only emulates x's numbers, and where they would
    be too coarse for the result."""
    coarse = x.is_cpu and dtype == torch.float32 and not torch.is_grad_enabled()
    return torch.float32 if coarse or _emulated(x) else x.dtype


def _native_rows(x: Tensor) -> int:
    """How many rows x has, where they are for the native kernels; else 0. Many rows are torch's
    where it has instructions for their numbers that the kernels do not use."""
    if not _runs_natively(x):
        return 0
    rows = x.numel() // x.shape[-1]
    if rows <= FEW or x.dtype == torch.float32 or _emulated(x):
        return rows
    return rows if kernels.chosen() == _WITH_BF16 and not has_matrix_unit() else 0
