"""The inventory as a table: tensors folded or one by one, and their sums by what they share.

It knows what a row holds; what is shown comes from `views.inventory` and `views.subtotals`.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from llmcli.cli.inspect_words import concept, counted, headline, kv_cache_line, shape, share, span
from llmcli.cli.page import Grid, Notes, Page, Record, bar
from llmcli.cli.table import Lazy, Row, cell, size

if TYPE_CHECKING:
    from llmcli.views.folding import Group, GroupRow
    from llmcli.views.fused import TensorView
    from llmcli.views.inspection import Inspection
    from llmcli.views.inventory import StoredTensor
    from llmcli.views.subtotals import Subtotals

COLUMNS: Row = ("tensor", "shape", "dtype", "concept", "parameters", "bytes", "file")
NUMBERS = (4, 5)
DIFFERS = "≠"
UNMAPPED = "not mapped"
VIEW = "view"


def inventory(report: "Inspection", *, full: bool) -> Page:
    """Every tensor by its name: equal layers folded, or, in `full`, each on its own."""
    headings: set[str] = set()
    shown = [_every_tensor, _below_layers] if full else [_folded]
    tables = Lazy(lambda: (table for rows in shown for table in _tables(report, rows, headings)))
    grid = Grid(tables, NUMBERS, headings)
    return Page(headline(report), [grid, Notes(list(_notes(report)))], _records(report))


def sums(report: "Inspection", totals: "Subtotals") -> Page:
    """Sums of what was asked for, each with its share of the bytes."""
    columns: Row = (totals.by, "tensors", "parameters", "bytes", "share", "")
    rows: list[Row] = [
        (
            cell(row.name),
            f"{row.tensors:,}",
            f"{row.parameters:,}",
            size(row.bytes),
            share(row.share),
            bar(row.share),
        )
        for row in totals.rows
    ]
    n_tensors = sum(row.tensors for row in totals.rows)
    parameters, n_bytes = (
        sum(getattr(row, what) for row in totals.rows) for what in ("parameters", "bytes")
    )
    rows.append(("sum", f"{n_tensors:,}", f"{parameters:,}", size(n_bytes), "100%", ""))
    tables = [[row[:width] for row in (columns, *rows)] for width in (6, 5)]
    grid = Grid(tables, (1, 2, 3, 4), frozenset({"sum"}))
    data: list[Record] = [(totals.by, "tensors", "parameters", "bytes", "share")]
    data += [
        (cell(row.name), row.tensors, row.parameters, row.bytes, row.share) for row in totals.rows
    ]
    return Page(headline(report), [grid, Notes(list(_totals(report)))], data)


# The rows of a report; a set takes the names of those that head others, each before it comes.
_Rows = Callable[["Inspection", set[str]], Iterator[Row]]


def _tables(report: "Inspection", rows_of: _Rows, headings: set[str]) -> Iterator[Iterable[Row]]:
    """The table with all columns; without files; without the dtype, where it is the headline's for
    all; without bytes."""

    def rows() -> Iterator[Row]:
        yield COLUMNS
        yield from rows_of(report, headings)
        for tensor in report.reused:
            yield (cell(tensor.name), "reuses W_E", "", tensor.concept, "0", "0 B", "")

    if len(_file_numbers(report)) > 1:
        yield Lazy(rows)
    yield Lazy(lambda: (row[:6] for row in rows()))
    if len({tensor.dtype for tensor in report.tensors}) == 1:
        yield Lazy(lambda: ((row[0], row[1], "", row[3], row[4], row[5]) for row in rows()))
    yield Lazy(lambda: (row[:5] for row in rows()))


def _folded(report: "Inspection", headings: set[str]) -> Iterator[Row]:
    return _group_rows(report, report.groups, headings)


def _every_tensor(report: "Inspection", headings: set[str]) -> Iterator[Row]:
    numbers = _file_numbers(report)
    for tensor in report.tensors:
        yield _row(report, cell(tensor.name), tensor, numbers[tensor.file])
        yield from _view_rows(tensor, "  ")


def _below_layers(report: "Inspection", headings: set[str]) -> Iterator[Row]:
    """The same, each name below its layer's, for a terminal that is too narrow for whole names."""
    from llmcli.views.folding import fold

    layers = groupby(report.tensors, key=lambda tensor: tensor.layer)
    return _group_rows(report, (g for _, members in layers for g in fold(members)), headings)


def _group_rows(
    report: "Inspection", groups: "Iterable[Group]", headings: set[str]
) -> Iterator[Row]:
    numbers = _file_numbers(report)
    for group in groups:
        if group.name is not None:
            name, each = cell(group.name), ""
            if group.count > 1:
                name, each = f"{name} (×{group.count})", "each layer"
            headings.add(name)
            count, n_bytes = group.parameters // group.count, group.bytes // group.count
            yield (name, "", "", each, f"{count:,}", size(n_bytes), "")
        for row in group.tensors:
            mark = "" if group.name is None else f"{DIFFERS} " if row.differs else "  "
            files = span([int(numbers[file]) for file in row.files])
            yield _row(report, mark + cell(row.name), row, files)
            yield from _view_rows(row, "  " if group.name is None else "    ")


def _row(report: "Inspection", name: str, tensor: "StoredTensor | GroupRow", file: str) -> Row:
    unknown = UNMAPPED if report.family is not None else None
    return (
        name,
        shape(tensor.shape),
        tensor.dtype,
        concept(tensor.concept or unknown, tensor.heads),
        f"{tensor.parameters:,}",
        size(tensor.bytes),
        file,
    )


def _view_rows(tensor: "StoredTensor | GroupRow", indent: str) -> Iterator[Row]:
    for view in tensor.views:
        yield (
            f"{indent}{VIEW} {_slice(view)}",
            shape(view.shape),
            "",
            concept(view.concept, view.heads),
            f"({view.parameters:,})",
            "",
            "",
        )


def _slice(view: "TensorView") -> str:
    """As an array is indexed: `[0:3072, :]`."""
    places = [":"] * len(view.shape)
    places[view.dim] = f"{view.start}:{view.stop}"
    return f"[{', '.join(places)}]"


def _notes(report: "Inspection") -> Iterator[str]:
    if any(row.differs for group in report.groups for row in group.tensors):
        yield f"{DIFFERS} not the same in every layer"
    if any(tensor.views for tensor in report.tensors):
        packed = " (of the matrix that is packed)" if report.quantization is not None else ""
        yield f"{VIEW}: a part of the tensor above it{packed}, counted there and not in sums"
    files = _file_numbers(report)
    if len(files) > 1:
        yield f"files 1-{len(files)}: {cell(min(files))} ... {cell(max(files))}"
    yield from _totals(report)
    cache = kv_cache_line(report)
    if cache is not None:
        yield cache


def _totals(report: "Inspection") -> Iterator[str]:
    n_shown, count = len(report.tensors), counted(report.totals.tensors, "tensor")
    yield " · ".join(
        [
            count if n_shown == report.totals.tensors else f"{n_shown:,} of {count}",
            f"{sum(tensor.parameters for tensor in report.tensors):,} values",
            f"{sum(tensor.bytes for tensor in report.tensors):,} bytes",
        ]
    )
    buffers = [tensor for tensor in report.tensors if tensor.component == "buffers"]
    if buffers:
        values = sum(tensor.parameters for tensor in buffers)
        yield f"{counted(len(buffers), 'buffer')} among them: {values:,} values, no parameters"
    if report.unmapped:
        n_unmapped = counted(len(report.unmapped), "tensor")
        yield f"{n_unmapped} not mapped: {report.family} has no place for them"


def _records(report: "Inspection") -> Iterator[Record]:
    yield ("name", "concept", "layer", "component", "shape", "dtype", "parameters", "bytes", "file")
    for tensor in report.tensors:
        yield (
            cell(tensor.name),
            tensor.concept,
            tensor.layer,
            tensor.component,
            "x".join(map(str, tensor.shape)),
            tensor.dtype,
            tensor.parameters,
            tensor.bytes,
            cell(tensor.file),
        )


def _file_numbers(report: "Inspection") -> dict[str, str]:
    """File name -> its number in the table, where whole names would not fit."""
    names = sorted({tensor.file for tensor in report.tensors})
    return {name: str(number) for number, name in enumerate(names, 1)}
