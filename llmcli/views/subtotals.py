"""Tensors summed by what they share, and the sums held against the headers.

It works from the named tensors of `inventory`; it knows nothing of looks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llmcli.checkpoint.headers import BITS, WEIGHTS, TensorHeader
from llmcli.views.components import COMPONENTS, Component
from llmcli.views.inventory import StoredTensor

By = Literal["component", "dtype", "file"]


@dataclass(frozen=True)
class Subtotal:
    """The tensors of one `name`; `share` is that of the bytes."""

    name: str
    tensors: int
    parameters: int
    bytes: int
    share: float


@dataclass(frozen=True)
class Subtotals:
    by: By
    rows: tuple[Subtotal, ...]


@dataclass(frozen=True)
class DtypeBytes:
    """`values` are what `bytes` of tensors of this dtype come to."""

    dtype: str
    bytes: int
    bits: int
    values: int


@dataclass(frozen=True)
class HeaderCheck:
    """The parameters of the components, `component_sum`, against values counted from byte offsets
    alone, `header_sum`.

    `plain` are the tensors that hold their values as they are; what others pack is only told:
    `packed_parameters` in `packed_bytes`. `shards` is how many files an index names, whose list of
    tensors their headers hold exactly; None where there is no index.
    """

    component_sum: int
    header_sum: int
    plain: tuple[DtypeBytes, ...]
    packed_parameters: int
    packed_bytes: int
    shards: int | None

    @property
    def agrees(self) -> bool:
        return self.component_sum == self.header_sum


def subtotals(tensors: Sequence[StoredTensor], by: By) -> Subtotals:
    """Components in their own order, dtypes by size, files by name."""
    key: Callable[[StoredTensor], str] = {
        "component": lambda tensor: tensor.component,
        "dtype": lambda tensor: tensor.dtype,
        "file": lambda tensor: tensor.file,
    }[by]
    groups: dict[str, list[StoredTensor]] = {}
    for tensor in tensors:
        groups.setdefault(key(tensor), []).append(tensor)
    total = sum(tensor.bytes for tensor in tensors)

    def row(name: str) -> Subtotal:
        members = groups[name]
        n_bytes = sum(tensor.bytes for tensor in members)
        count = sum(tensor.parameters for tensor in members)
        return Subtotal(name, len(members), count, n_bytes, n_bytes / total if total else 0.0)

    rows = map(row, groups)
    if by == "component":
        return Subtotals(by, tuple(sorted(rows, key=lambda row: COMPONENTS.index(row.name))))
    if by == "dtype":
        return Subtotals(by, tuple(sorted(rows, key=lambda row: (-row.bytes, row.name))))
    return Subtotals(by, tuple(sorted(rows, key=lambda row: row.name)))


def check_headers(
    headers: Mapping[str, TensorHeader],
    tensors: Iterable[StoredTensor],
    components: Iterable[Component],
    *,
    alone: bool,
) -> HeaderCheck:
    """`alone`: it is one file, by itself. Of a folder, files of any name but model.safetensors were
    named by an index, which was held against their headers when they were read."""
    n_bytes: dict[str, int] = {}
    packed_parameters = packed_bytes = 0
    for tensor in tensors:
        if tensor.parameter_shape == tensor.shape:
            n_bytes[tensor.dtype] = n_bytes.get(tensor.dtype, 0) + tensor.bytes
        else:
            packed_parameters += tensor.parameters
            packed_bytes += tensor.bytes
    plain = [
        DtypeBytes(dtype, count, BITS[dtype], count * 8 // BITS[dtype])
        for dtype, count in n_bytes.items()
    ]
    files = {header.file for header in headers.values()}
    return HeaderCheck(
        component_sum=sum(row.parameters for row in components),
        header_sum=sum(part.values for part in plain) + packed_parameters,
        plain=tuple(sorted(plain, key=lambda part: (-part.bytes, part.dtype))),
        packed_parameters=packed_parameters,
        packed_bytes=packed_bytes,
        shards=None if alone or files <= {WEIGHTS} else len(files),
    )
