"""The named tensors of a checkpoint with equal layers in a row as one.

It works from the tensors of `inventory`; it knows nothing of files or of how a group is shown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llmcli.views.fused import TensorView
from llmcli.views.inventory import StoredTensor


@dataclass(frozen=True)
class GroupRow:
    """What one tensor is in each layer of a group. `name` is relative to the layer; `differs` says
    that other layers of the same stack have no such row; counts are for one layer."""

    name: str
    concept: str | None
    shape: tuple[int, ...]
    dtype: str
    heads: tuple[int, int] | None
    parameters: int
    bytes: int
    files: tuple[str, ...]
    differs: bool
    views: tuple[TensorView, ...]


@dataclass(frozen=True)
class Group:
    """Consecutive layers `layers` (first, last) with equal names, dtypes and shapes, or tensors
    outside of any stack of layers, where `name` and `layers` are None. Totals are for all layers.
    """

    name: str | None
    layers: tuple[int, int] | None
    count: int
    parameters: int
    bytes: int
    tensors: tuple[GroupRow, ...]


# Within its layer: name, concept, dtype, shape, parameters.
_Row = tuple[str, str | None, str, tuple[int, ...], int]


@dataclass(frozen=True)
class Run:
    """Consecutive equal layers, from number `first` on: the tensors of each, and what is equal in
    all of them. `stack` is what their names begin with, up to the number. Or tensors outside of any
    stack, where that is empty and `first` is None."""

    stack: str
    first: int | None
    rows: list[_Row]
    layers: list[list[StoredTensor]]


def fold(tensors: Iterable[StoredTensor]) -> tuple[Group, ...]:
    """The tensors with each run of equal layers as one group."""
    runs = equal_layers(tensors)
    stacks: dict[str, list[frozenset[_Row]]] = {}
    for run in runs:
        if run.first is not None:
            stacks.setdefault(run.stack, []).append(frozenset(run.rows))
    common = {stack: frozenset.intersection(*every) for stack, every in stacks.items()}
    return tuple(_group(run, common.get(run.stack, frozenset())) for run in runs)


def equal_layers(tensors: Iterable[StoredTensor]) -> list[Run]:
    runs: list[Run] = []
    for stack, layer, within, members in _layers(tensors):
        rows = [
            (tensor.name[within:], tensor.concept, tensor.dtype, tensor.shape, tensor.parameters)
            for tensor in members
        ]
        last = runs[-1] if runs else None
        if (
            last is not None
            and last.first is not None
            and (stack, layer) == (last.stack, last.first + len(last.layers))
            and rows == last.rows
        ):
            last.layers.append(members)
        else:
            runs.append(Run(stack, layer, rows, [members]))
    return runs


def _layers(
    tensors: Iterable[StoredTensor],
) -> Iterator[tuple[str, int | None, int, list[StoredTensor]]]:
    """Stack and number of each layer, how long both are, and its tensors; in between, those of no
    layer."""
    stack, prefix, layer = "", "", None
    members: list[StoredTensor] = []
    for tensor in tensors:
        if members and tensor.layer == layer and tensor.name.startswith(prefix):
            members.append(tensor)
            continue
        if members:
            yield stack, layer, len(prefix), members
        stack, prefix, layer, members = "", "", tensor.layer, [tensor]
        if layer is not None:
            if not tensor.name.startswith(f"{layer}."):
                stack = tensor.name.partition(f".{layer}.")[0] + "."
            prefix = f"{stack}{layer}."
    if members:
        yield stack, layer, len(prefix), members


def _group(run: Run, common: frozenset[_Row]) -> Group:
    """`common` are the rows of every layer of the stack."""
    name, layers = None, None
    if run.first is not None:
        layers = (run.first, run.first + len(run.layers) - 1)
        numbers = f"{layers[0]}-{layers[1]}" if len(run.layers) > 1 else str(run.first)
        name = f"{run.stack}{numbers}"
    rows = tuple(
        GroupRow(
            name=row[0],
            concept=same[0].concept,
            shape=same[0].shape,
            dtype=same[0].dtype,
            heads=same[0].heads,
            parameters=same[0].parameters,
            bytes=same[0].bytes,
            files=tuple(sorted({tensor.file for tensor in same})),
            differs=name is not None and row not in common,
            views=same[0].views,
        )
        for row, same in zip(run.rows, zip(*run.layers, strict=True), strict=True)
    )
    count = len(run.layers)
    return Group(
        name=name,
        layers=layers,
        count=count,
        parameters=count * sum(row.parameters for row in rows),
        bytes=count * sum(row.bytes for row in rows),
        tensors=rows,
    )
