"""What two models' files declare differently: tensors, fields of config.json, totals.

It compares headers, never weights, and knows nothing of how the differences are shown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from llmcli.checkpoint.json_file import read_json_object
from llmcli.checkpoint.store import RemoteModel, Source
from llmcli.errors import InvalidModelError
from llmcli.views.inspection import Inspection, ReadFrom, inspect
from llmcli.views.inventory import StoredTensor

Change = Literal["removed", "added", "changed"]


@dataclass(frozen=True)
class Side:
    """One of the two; `parameters` counts each once. `source` is where it was read from."""

    model: str
    tensors: int
    parameters: int
    bytes: int
    source: ReadFrom


@dataclass(frozen=True)
class Stored:
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class TensorDifference:
    """A tensor that only A has (removed), only B has (added), or that differs in shape or dtype.
    `layer` is the number of the layer that it belongs to."""

    name: str
    change: Change
    layer: int | None
    a: Stored | None
    b: Stored | None


@dataclass(frozen=True)
class FieldDifference:
    """A field of config.json, nested ones by path (`rope_scaling.factor`); lists are values."""

    field: str
    change: Change
    a: Any
    b: Any


@dataclass(frozen=True)
class FoldedDifference:
    """The same difference in all of `layers`; `name` is split around the layer's number, and whole
    where there are no layers."""

    name: tuple[str, ...]
    layers: tuple[int, ...]
    change: Change
    a: Stored | None
    b: Stored | None


@dataclass(frozen=True)
class Difference:
    """From A to B. `config_compared` is False where a side has none, as one file may. `equal`: no
    difference was found in what was compared."""

    schema: ClassVar[str] = "inspect-diff/1"

    a: Side
    b: Side
    equal: bool
    config_compared: bool
    tensors: tuple[TensorDifference, ...]
    config: tuple[FieldDifference, ...]


def compare(a: Source | RemoteModel, b: Source | RemoteModel) -> Difference:
    """Raises InvalidModelError where either cannot be inspected."""
    before, after = inspect(a, tree=False), inspect(b, tree=False)
    tensors = tuple(_tensors(before.tensors, after.tensors))
    configs = _config(a), _config(b)
    fields: tuple[FieldDifference, ...] = ()
    if configs[0] is not None and configs[1] is not None:
        fields = tuple(_fields(configs[0], configs[1]))
    return Difference(
        a=_side(before),
        b=_side(after),
        equal=not tensors and not fields,
        config_compared=None not in configs,
        tensors=tensors,
        config=fields,
    )


def fold(differences: Iterable[TensorDifference]) -> tuple[FoldedDifference, ...]:
    """Equal differences of several layers as one, where the first of them stands."""
    layers: dict[tuple[Any, ...], list[int]] = {}
    for each in differences:
        name: tuple[str, ...] = (each.name,)
        if each.layer is not None:
            parts = each.name.split(".")
            place = parts.index(str(each.layer))
            name = (".".join(parts[:place]), ".".join(parts[place + 1 :]))
        members = layers.setdefault((name, each.change, each.a, each.b), [])
        if each.layer is not None:
            members.append(each.layer)
    return tuple(
        FoldedDifference(name, tuple(sorted(members)), change, a, b)
        for (name, change, a, b), members in layers.items()
    )


def _side(report: Inspection) -> Side:
    totals = report.totals
    return Side(report.model, totals.tensors, totals.parameters, totals.bytes, report.source)


def _tensors(
    before: Iterable[StoredTensor], after: Iterable[StoredTensor]
) -> Iterator[TensorDifference]:
    """In A's order, then what only B has, in B's."""
    first = {tensor.name: tensor for tensor in before}
    second = {tensor.name: tensor for tensor in after}
    for name, tensor in (first | second).items():
        a, b = _stored(first.get(name)), _stored(second.get(name))
        if a != b:
            change: Change = "removed" if b is None else "added" if a is None else "changed"
            yield TensorDifference(name, change, tensor.layer, a, b)


def _stored(tensor: StoredTensor | None) -> Stored | None:
    return None if tensor is None else Stored(tensor.shape, tensor.dtype)


def _config(source: Source | RemoteModel) -> dict[str, Any] | None:
    """config.json as it stands; that beside one file may be missing or damaged."""
    if isinstance(source, RemoteModel):
        return source.config
    if source.kind != "file":
        return read_json_object(source.folder / "config.json")
    try:
        return read_json_object(Path(source.name).parent / "config.json")
    except InvalidModelError:
        return None


def _fields(a: dict[str, Any], b: dict[str, Any], above: str = "") -> Iterator[FieldDifference]:
    for key in a | b:
        path = f"{above}{key}"
        if key not in b:
            yield FieldDifference(path, "removed", a[key], None)
        elif key not in a:
            yield FieldDifference(path, "added", None, b[key])
        elif isinstance(a[key], dict) and isinstance(b[key], dict):
            yield from _fields(a[key], b[key], f"{path}.")
        elif a[key] != b[key] or isinstance(a[key], bool) != isinstance(b[key], bool):
            yield FieldDifference(path, "changed", a[key], b[key])
