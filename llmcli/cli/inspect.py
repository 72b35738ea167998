"""`llmcli inspect`: the tensors of a model, folded, and its parameters by component.

It knows the options and the looks; what is shown comes from `views.inspection`.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from llmcli.cli.options import COMMAND, Debug, Json, Offline, Quiet, Revision
from llmcli.cli.output import Output, safe
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

    from llmcli.views.inspection import Inspection
    from llmcli.views.inventory import Group

Row = tuple[str, ...]

COLUMNS: Row = ("tensor", "shape", "dtype", "concept", "parameters", "bytes", "file")
BAR_WIDTH = 10
GAP = 2
DIFFERS = "≠"

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        show_default=False,
        help="demo, a folder, org/name[@revision] on the hub, or one .safetensors file. "
        "Left out: $LLMCLI_MODEL, else SmolLM2-135M-Instruct, else demo.",
    ),
]
Params = Annotated[
    bool, typer.Option("--params", help="Parameters by component, each count with its formula.")
]
Full = Annotated[bool, typer.Option("--full", help="Every tensor on its own, layers unfolded.")]
LayerNumber = Annotated[
    int | None,
    typer.Option("--layer", metavar="N", min=0, show_default=False, help="Only this layer."),
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="GLOB",
        show_default=False,
        help="Only tensors whose full name matches, like '*.q_proj.weight'.",
    ),
]


def register(app: typer.Typer) -> None:
    app.command("inspect", **COMMAND)(inspect)


def inspect(
    model: Model = None,
    params: Params = False,
    full: Full = False,
    layer: LayerNumber = None,
    filter: Filter = None,
    revision: Revision = None,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what is in a model's files: every tensor with its name, shape, dtype and role.

    Only headers are read, never the weights: it takes a moment for a model of any size. Equal
    layers are folded into one.

    Examples:

    - `llmcli inspect demo`
    - `llmcli inspect demo --params`
    - `llmcli inspect ./folder --layer 3`
    - `llmcli inspect ./folder/model.safetensors --full`
    - `llmcli inspect demo --json | python -m json.tool`
    """
    from llmcli.checkpoint.store import resolve
    from llmcli.views import inspection

    if params and (full or layer is not None or filter is not None):
        raise UsageError("--params counts the whole model: leave out --full, --layer and --filter")
    output = Output(json=json, quiet=quiet)
    source = resolve(model, revision=revision, offline=offline, notice=output.notice)
    report = inspection.inspect(source)
    for warning in report.warnings:
        output.notice(f"warning: {warning}")
    if params:
        output.emit(report, _parameters)
    else:
        output.emit(_select(report, layer, filter), _every_tensor if full else _folded)


def _select(report: "Inspection", layer: int | None, pattern: str | None) -> "Inspection":
    """The report with only the tensors asked for; counts stay those of the whole model."""
    from llmcli.views.inventory import fold

    if layer is None and pattern is None:
        return report
    kept = tuple(
        tensor
        for tensor in report.tensors
        if (layer is None or tensor.layer == layer)
        and (pattern is None or fnmatchcase(tensor.name, pattern))
    )
    if not kept:
        wanted = "--filter" if layer is None else "--layer" if pattern is None else "the options"
        numbers = [tensor.layer for tensor in report.tensors if tensor.layer is not None]
        there = f"layers {min(numbers)}-{max(numbers)}" if numbers else "no layers"
        raise UsageError(
            f"{wanted}: no tensor of {report.model} matches",
            hint=f"it has {there}; llmcli inspect {report.model} lists the names",
        )
    return dataclasses.replace(report, tensors=kept, groups=fold(kept), reused=())


def _folded(report: "Inspection") -> "RenderableType":
    """The tensors, equal layers folded."""
    return _inventory(report, _narrower(report, _group_rows(report, report.groups)))


def _every_tensor(report: "Inspection") -> "RenderableType":
    """The tensors by full name; below their layer's name where a terminal is too narrow for it."""
    from llmcli.views.inventory import fold

    numbers = _file_numbers(report)
    rows = [
        (
            _cell(tensor.name),
            _shape(tensor.shape),
            tensor.dtype,
            _concept(tensor.concept, tensor.heads),
            f"{tensor.parameters:,}",
            size(tensor.bytes),
            numbers[tensor.file],
        )
        for tensor in report.tensors
    ]
    layers = groupby(report.tensors, key=lambda tensor: tensor.layer)
    apart = [group for _, members in layers for group in fold(members)]
    return _inventory(
        report, _narrower(report, rows) + _narrower(report, _group_rows(report, apart))
    )


def _inventory(report: "Inspection", tables: list[list[Row]]) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    notes = []
    if any(row.differs for group in report.groups for row in group.tensors):
        notes.append(f"{DIFFERS} not the same in every layer")
    files = _file_numbers(report)
    if len(files) > 1:
        notes += [f"file {number}: {_cell(name)}" for name, number in files.items()]
    count = f"{len(report.tensors):,} of {report.totals.tensors:,} tensors"
    if len(report.tensors) == report.totals.tensors:
        count = _counted(report.totals.tensors, "tensor")
    shown = sum(tensor.parameters for tensor in report.tensors)
    n_bytes = sum(tensor.bytes for tensor in report.tensors)
    notes.append(f"{count} · {shown:,} values · {n_bytes:,} bytes")
    if report.kv_cache is not None and report.attention is not None:
        per_token = report.kv_cache.bytes_per_token.bf16
        notes.append(
            f"KV cache: {size(per_token)} per token in 16 bit = 2 × {report.layers} layers × "
            f"{_counted(report.attention.kv_heads, 'KV head')} × {report.attention.head_dim} × "
            "2 bytes"
        )
    parts = [Headline(report), Text(), FittedTable(tables), Text()]
    return Group(*parts, *(Text(note) for note in notes))


def _group_rows(report: "Inspection", groups: "Sequence[Group]") -> list[Row]:
    numbers = _file_numbers(report)
    rows: list[Row] = []
    for group in groups:
        if group.name is not None:
            name, each = _cell(group.name), ""
            if group.count > 1:
                name, each = f"{name} (×{group.count})", "each layer"
            count, n_bytes = group.parameters // group.count, group.bytes // group.count
            rows.append((name, "", "", each, f"{count:,}", size(n_bytes), ""))
        for row in group.tensors:
            mark = "" if group.name is None else f"{DIFFERS} " if row.differs else "  "
            rows.append(
                (
                    mark + _cell(row.name),
                    _shape(row.shape),
                    row.dtype,
                    _concept(row.concept, row.heads),
                    f"{row.parameters:,}",
                    size(row.bytes),
                    _span([int(numbers[file]) for file in row.files]),
                )
            )
    return rows


def _narrower(report: "Inspection", rows: list[Row]) -> list[list[Row]]:
    """The table with all columns, then without files, then without bytes too."""
    tied = [
        (_cell(tensor.name), "is W_E", "", tensor.concept, "0", "0 B", "")
        for tensor in report.reused
    ]
    widths = (7, 6, 5) if len(_file_numbers(report)) > 1 else (6, 5)
    return [[row[:width] for row in (COLUMNS, *rows, *tied)] for width in widths]


def _parameters(report: "Inspection") -> "RenderableType":
    """Parameters by component, and the three ways to count them."""
    from rich.console import Group
    from rich.text import Text

    totals = report.totals
    table: list[Row] = [("component", "formula", "parameters", "share", "")]
    for row in report.components:
        bar = "█" * round(row.share * BAR_WIDTH)
        table.append(
            (row.component, row.formula or "", f"{row.parameters:,}", _share(row.share), bar)
        )
    total = sum(row.parameters for row in report.components)
    equal = "=" if total == totals.stored_parameters else "NOT"
    in_headers = f"{equal} {totals.stored_parameters:,} in the headers"
    table.append(("sum", in_headers, f"{total:,}", _share(1.0), ""))
    counts: list[Row] = [
        ("stored", f"{totals.stored_parameters:,}", "every value in the files"),
        ("unique", f"{totals.parameters:,}", "every parameter once"),
    ]
    if report.family is not None:
        counts.append(
            ("non-embedding", f"{totals.non_embedding_parameters:,}", "those inside the layers")
        )
    return Group(
        Headline(report),
        Text(),
        FittedTable([table, [row[:4] for row in table]], right=(2, 3)),
        Text(),
        FittedTable([counts], right=(1,), header=False),
        Text(_why(report)),
    )
