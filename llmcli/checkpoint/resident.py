"""Bytes of memory that weights take once loaded, told from the tensors that a checkpoint must hold.

It counts what the core allocates, padding included; it knows nothing of what a load takes besides,
and reads no numbers.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from llmcli.checkpoint.headers import TensorHeader
from llmcli.checkpoint.layout import Expected, by_target
from llmcli.checkpoint.quantization import Kind, Packing

Form = Literal["plain", "codes", "scales", "zeros", "groups"]
_FORMS: dict[Kind, Form] = {
    "qweight": "codes",
    "codes": "codes",
    "scales": "scales",
    "qzeros": "zeros",
    "g_idx": "groups",
}
_NORM_BYTES = 4  # norms stay in fp32 whatever the rest is in
_BF16_BYTES = 2


@dataclass(frozen=True)
class Held:
    """Memory of one kind that a module takes. `values` are the parameters that it holds, or, of
    what serves to unpack them, how many numbers it is; `bits` are those of a value, without the
    padding that `n_bytes` has."""

    component: str
    form: Form
    values: int
    bits: int
    n_bytes: int


def kept_narrow(
    expected: Iterable[Expected], headers: Mapping[str, TensorHeader]
) -> frozenset[str]:
    """Targets of plain matrices that lie in bf16 in the file: kernels that widen W as they read it
    leave them so where fp32 is computed in. Tensors without a header, in other files, are taken to
    lie in it if any do."""
    expected = list(expected)
    in_bf16 = {name for name, header in headers.items() if header.dtype == "BF16"}
    in_bf16 |= {part.name for part in expected if in_bf16} - headers.keys()
    packed = {tensor.module for tensor in expected if tensor.packing is not None}
    return frozenset(
        target
        for target, parts in by_target(expected).items()
        if parts[0].module not in packed
        and all(len(part.shape) == 2 and part.name in in_bf16 for part in parts)
    )


def held(
    expected: Iterable[Expected], itemsize: int, narrow: Collection[str] = ()
) -> Iterator[Held]:
    """What each module of the core takes; `itemsize`: bytes of an activation; `narrow`: see
    `kept_narrow`.

    Exact, but for GPTQ's sorted columns: it is taken that the parts of a fused module, which have
    one input, share one order of its columns. Only numbers would tell.
    """
    modules: dict[str, list[Expected]] = {}
    for tensor in expected:
        modules.setdefault(tensor.module, []).append(tensor)
    for tensors in modules.values():
        component = tensors[0].component
        width = _NORM_BYTES if component == "norms" else itemsize
        plain = [tensor for tensor in tensors if tensor.packing is None]
        for tensor in plain:
            count = math.prod(tensor.shape)
            each = _BF16_BYTES if tensor.target in narrow else width
            yield Held(component, "plain", count, 8 * each, count * each)
        kinds = {kind: None for tensor in tensors for kind in _kinds(tensor)}
        for packing in _matrices(tensors, joined=any(len(tensor.shape) > 1 for tensor in plain)):
            for kind in kinds:
                yield _packed(component, packing, kind, itemsize)


def resident_bytes(
    expected: Iterable[Expected], itemsize: int, narrow: Collection[str] = ()
) -> int:
    """All of it together."""
    return sum(part.n_bytes for part in held(expected, itemsize, narrow))


def _kinds(tensor: Expected) -> tuple[Kind, ...]:
    if tensor.packing is None:
        return ()
    return tuple(tensor.packing.shapes()) if tensor.kind is None else (tensor.kind,)


def _matrices(tensors: list[Expected], *, joined: bool) -> list[Packing]:
    """The matrices that the core holds for a module: one of all rows, or, where it is `joined` of
    parts that cannot be one, each by itself."""
    packed = list({each.row: each.packing for each in tensors if each.packing}.values())
    apart = joined or not all(part.fits_core for part in packed)
    if len(packed) < 2 or apart:
        return packed
    return [replace(packed[0], rows=sum(part.rows for part in packed))]


def _packed(component: str, packing: Packing, kind: Kind, itemsize: int) -> Held:
    n_bytes = packing.resident_bytes(kind, itemsize)
    form = _FORMS[kind]
    if form == "codes" and not packing.fits_core:  # it is held dequantized
        return Held(component, "plain", packing.rows * packing.columns, 8 * itemsize, n_bytes)
    count, bits = {
        "codes": (packing.rows * packing.columns, packing.code_bits),
        "scales": (packing.rows * packing.n_groups, 16),
        "zeros": (packing.rows * packing.n_groups, 8),
        "groups": (packing.columns, 32),
    }[form]
    return Held(component, form, count if n_bytes else 0, bits, n_bytes)
