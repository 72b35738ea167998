"""`llmcli inspect`: the tensors of a model, folded, and its parameters by component.

It knows the options and the looks; what is shown comes from `views.inspection`.
"""

import dataclasses
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from llmcli.cli.find_model import find_model
from llmcli.cli.options import COMMAND, Debug, Json, Offline, Quiet, Revision
from llmcli.cli.output import Output
from llmcli.cli.table import FittedTable, Joined, Row, cell, size
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from llmcli.views.inspection import Inspection
    from llmcli.views.inventory import Group

COLUMNS: Row = ("tensor", "shape", "dtype", "concept", "parameters", "bytes", "file")
NUMBERS = (4, 5)
BAR_WIDTH = 10
DIFFERS = "≠"

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        envvar="LLMCLI_MODEL",
        show_envvar=False,
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
    from llmcli.views import inspection

    if params and (full or layer is not None or filter is not None):
        raise UsageError("--params counts the whole model: leave out --full, --layer and --filter")
    output = Output(json=json, quiet=quiet)
    source = find_model(model, output, revision=revision, offline=offline)
    report = inspection.inspect(source)
    for warning in report.warnings:
        output.notice(f"warning: {cell(warning)}")
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
    rows: list[Row] = [
        (
            cell(tensor.name),
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

    notes: list[RenderableType] = []
    if any(row.differs for group in report.groups for row in group.tensors):
        notes.append(Text(f"{DIFFERS} not the same in every layer"))
    files = _file_numbers(report)
    if len(files) > 1:
        notes.append(Text(f"files 1-{len(files)}: {cell(min(files))} ... {cell(max(files))}"))
    n_shown, count = len(report.tensors), _counted(report.totals.tensors, "tensor")
    notes.append(
        Joined(
            [
                count if n_shown == report.totals.tensors else f"{n_shown:,} of {count}",
                f"{sum(tensor.parameters for tensor in report.tensors):,} values",
                f"{sum(tensor.bytes for tensor in report.tensors):,} bytes",
            ]
        )
    )
    if report.kv_cache is not None and report.attention is not None:
        heads = _counted(report.attention.kv_heads, "KV head")
        notes.append(
            Text(
                f"KV cache {size(report.kv_cache.bytes_per_token.bf16)} per token in 16 bit: "
                f"2 × {report.layers} layers × {heads} × {report.attention.head_dim} × 2 B"
            )
        )
    headings = frozenset(row[0] for rows in tables for row in rows[1:] if not row[1])
    table = FittedTable(tables, right=NUMBERS, headings=headings)
    return Group(_headline(report), Text(), table, Text(), *notes)


def _group_rows(report: "Inspection", groups: "Sequence[Group]") -> list[Row]:
    numbers = _file_numbers(report)
    rows: list[Row] = []
    for group in groups:
        if group.name is not None:
            name, each = cell(group.name), ""
            if group.count > 1:
                name, each = f"{name} (×{group.count})", "each layer"
            count, n_bytes = group.parameters // group.count, group.bytes // group.count
            rows.append((name, "", "", each, f"{count:,}", size(n_bytes), ""))
        for row in group.tensors:
            mark = "" if group.name is None else f"{DIFFERS} " if row.differs else "  "
            rows.append(
                (
                    mark + cell(row.name),
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
        (cell(tensor.name), "reuses W_E", "", tensor.concept, "0", "0 B", "")
        for tensor in report.reused
    ]
    widths = (7, 6, 5) if len(_file_numbers(report)) > 1 else (6, 5)
    return [[row[:width] for row in (COLUMNS, *rows, *tied)] for width in widths]


def _parameters(report: "Inspection") -> "RenderableType":
    """Parameters by component, and the three ways to count them."""
    from rich.console import Group
    from rich.text import Text

    totals = report.totals
    rows: list[Row] = [("component", "formula", "parameters", "share", "")]
    for row in report.components:
        bar = "█" * round(row.share * BAR_WIDTH)
        count = f"{row.parameters:,}"
        rows.append((row.component, row.formula or "", count, _share(row.share), bar))
    total = sum(row.parameters for row in report.components)
    sign = "=" if total == totals.stored_parameters else "but"
    rows.append(
        ("sum", f"{sign} {totals.stored_parameters:,} in the headers", f"{total:,}", "100%", "")
    )
    values = "values" if report.quantized is None else "parameters, unpacked,"
    counts: list[Row] = [
        ("stored", f"{totals.stored_parameters:,}", f"all {values} in the files"),
        ("unique", f"{totals.parameters:,}", "every parameter once"),
    ]
    if report.family is not None:
        count = f"{totals.non_embedding_parameters:,}"
        counts.append(("non-embedding", count, f"without {_token_tables(report)}"))
    return Group(
        _headline(report),
        Text(),
        FittedTable([rows, [row[:4] for row in rows]], right=(2, 3), headings=frozenset({"sum"})),
        Text(),
        FittedTable([[("count", "values", ""), *counts]], right=(1,)),
        Text(),
        Text(_why(report)),
    )


def _why(report: "Inspection") -> str:
    """One line on why the three counts differ, or do not."""
    if report.family is None:
        return "No config.json says which values are parameters: all are counted."
    totals = report.totals
    stored = {row.component: row.parameters for row in report.components}
    reasons = []
    if report.reused:
        reasons.append("the head is tied: it reuses W_E and stores nothing")
    elif report.tied and stored.get("lm_head"):
        reasons.append(f"stored holds a copy of the tied head ({stored['lm_head']:,})")
    if stored.get("buffers"):
        reasons.append(f"stored holds buffers ({stored['buffers']:,}), which are not parameters")
    left_out = totals.parameters - totals.non_embedding_parameters
    reasons.append(f"non-embedding leaves out {_token_tables(report)} ({left_out:,})")
    return f"Why they differ: {'; '.join(reasons)}."


def _token_tables(report: "Inspection") -> str:
    tables = ["W_E"]
    if any(row.component == "positions" for row in report.components):
        tables.append("W_pos")
    if not report.tied:
        tables.append("W_unembed")
    return " and ".join(tables)


def _headline(report: "Inspection") -> Joined:
    totals = report.totals
    facts = [f"{cell(report.model)}: {report.family or 'family unknown'}"]
    facts.append(_counted(totals.parameters, "parameter"))
    if report.quantized is not None:
        facts.append(report.quantized)
    facts += [report.dtype or "no tensors", size(totals.bytes)]
    attention = report.attention
    if attention is not None:
        heads = _counted(attention.query_heads, "query head")
        if attention.sharing == 1:
            facts.append(f"{attention.kind}, {heads}, a KV head each")
        else:
            shared = _counted(attention.kv_heads, "KV head")
            facts.append(f"{attention.kind}, {heads} share {shared} ({attention.sharing}:1)")
        facts += [f"context {report.context:,}", f"vocabulary {report.vocab_size:,}"]
        facts.append("tied head" if report.tied else "untied head")
    return Joined(facts, "bold")


def _file_numbers(report: "Inspection") -> dict[str, str]:
    """File name -> its number in the table, where whole names would not fit."""
    names = sorted({tensor.file for tensor in report.tensors})
    return {name: str(number) for number, name in enumerate(names, 1)}


def _span(numbers: Sequence[int]) -> str:
    """`3`, `1-4`, or `1,3` where numbers in between are missing."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _concept(concept: str | None, heads: tuple[int, int] | None) -> str:
    return (concept or "") + (f" {heads[0]}×{heads[1]}" if heads else "")


def _share(share: float) -> str:
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
