"""`--stats`: each tensor's statistics as a page, and the bar while the weights are read.

It knows what a row says; the figures come from `views.statistics`.
"""

from dataclasses import fields
from itertools import groupby
from typing import TYPE_CHECKING

from llmcli.cli.inspect_words import counted, headline
from llmcli.cli.interrupts import interruptible
from llmcli.cli.loading import progress_bar
from llmcli.cli.output import Output
from llmcli.cli.page import Grid, Notes, Page, Record
from llmcli.cli.table import Row, cell, size
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.checkpoint.store import RemoteModel, Source
    from llmcli.views.inspection import Inspection
    from llmcli.views.statistics import MeasuredInspection, TensorStats

_NUMBERS = (1, 2, 3, 4, 5, 6, 7)
_UNKNOWN = "unknown"


def measured(
    report: "Inspection", source: "Source | RemoteModel", output: Output
) -> "MeasuredInspection":
    """The report with statistics of its tensors. Raises UsageError where they are not here."""
    from llmcli.checkpoint.store import Source
    from llmcli.engine import torch_import

    if not isinstance(source, Source):
        raise UsageError(
            f"--stats reads the weights, and those of {source.name} are on the hub",
            hint=f"download it first: llmcli download {source.name}@{source.commit}",
        )
    n_bytes = sum(tensor.bytes for tensor in report.tensors)
    output.notice(f"--stats reads the weights: {size(n_bytes)}")
    with interruptible(), progress_bar(output, "reading the weights", n_bytes) as progress:
        torch_import.wait()  # which takes its time: under the bar
        from llmcli.views import statistics

        return statistics.measured(report, source, progress=progress)


def statistics(report: "MeasuredInspection") -> Page:
    """A row for each tensor; on a narrow terminal, names stand below those of their layers."""
    from llmcli.views.statistics import TensorStats

    flaws = [bool(sum(_counts(report, what))) for what in ("nan", "infinite")]
    names = ("NaN" if flaws[0] else "", "infinite" if flaws[1] else "")
    header: Row = ("tensor", "min", "max", "mean", "sd", "zeros", *names)
    rows = {each.name: _row(each, flaws) for each in report.stats}
    whole = [header, *((cell(name), *row) for name, row in rows.items())]
    below, headings = _below_layers(report, rows)
    grid = Grid([whole, [header, *below]], _NUMBERS, headings)
    data: list[Record] = [tuple(field.name for field in fields(TensorStats))]
    data += [(cell(each.name), *list(vars(each).values())[1:]) for each in report.stats]
    return Page(headline(report), [grid, Notes(_notes(report))], data)


def _below_layers(
    report: "MeasuredInspection", rows: dict[str, Row]
) -> tuple[list[Row], frozenset[str]]:
    below: list[Row] = []
    headings = set()
    for layer, members in groupby(report.tensors, key=lambda tensor: tensor.layer):
        stack = ""
        for tensor in members:
            if layer is None:
                below.append((cell(tensor.name), *rows[tensor.name]))
                continue
            parts = tensor.name.split(".")
            depth = parts.index(str(layer)) + 1
            if stack != (stack := cell(".".join(parts[:depth]))):
                below.append((stack, *[""] * len(_NUMBERS)))
                headings.add(stack)
            below.append((f"  {cell('.'.join(parts[depth:]))}", *rows[tensor.name]))
    return below, frozenset(headings)


def _row(stats: "TensorStats", flaws: list[bool]) -> Row:
    if stats.zeros is None:
        return (_UNKNOWN, "", "", "", "", "", "")
    figures = (stats.min, stats.max, stats.mean, stats.sd)
    counts = [
        f"{count:,}" if shown else ""
        for count, shown in zip((stats.nan, stats.infinite), flaws, strict=True)
    ]
    return (*map(_figure, figures), f"{stats.zeros:,}", *counts)


def _figure(value: float | None) -> str:
    if value is None:
        return "none"
    return str(value) if isinstance(value, int) and abs(value) < 10**6 else f"{value:.3g}"


def _counts(report: "MeasuredInspection", what: str) -> list[int]:
    return [getattr(each, what) or 0 for each in report.stats]


def _notes(report: "MeasuredInspection") -> list[str]:
    told = [f"{sum(_counts(report, what)):,} {word}" for what, word in _FLAWS.items()]
    lines = [f"{counted(len(report.stats), 'tensor')}: {', '.join(told)}"]
    n_unknown = sum(each.zeros is None for each in report.stats)
    if n_unknown:
        lines.append(f"{_UNKNOWN}: the dtype of {counted(n_unknown, 'tensor')} is not read here")
    if report.quantized is not None:
        lines.append("Packed matrices are told of as they are stored: by their integers.")
    lines.append("min, max, mean and sd (divided by n) are of the finite values.")
    return lines


_FLAWS = {"zeros": "zeros", "nan": "NaN", "infinite": "infinite"}
