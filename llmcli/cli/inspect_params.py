"""Parameters by component, each count with its formula, and the checks of the sums, as a page.

It knows what the rows say; the counts come from `views.components` and `views.subtotals`.
"""

from typing import TYPE_CHECKING

from llmcli.cli.inspect_words import counted, headline, share
from llmcli.cli.page import Grid, Notes, Page, Record, bar
from llmcli.cli.table import Row

if TYPE_CHECKING:
    from llmcli.views.inspection import Inspection


def parameters(report: "Inspection") -> Page:
    """The table by component, the three ways to count, and what holds them to the headers."""
    totals = report.totals
    rows: list[Row] = [("component", "formula", "parameters", "share", "")]
    data: list[Record] = [("component", "formula", "parameters", "share")]
    for row in report.components:
        count = f"{row.parameters:,}"
        rows.append((row.component, row.formula or "", count, share(row.share), bar(row.share)))
        data.append((row.component, row.formula, row.parameters, row.share))
    check = report.check
    sign = "=" if check.agrees else "but"
    told = f"{sign} {check.header_sum:,} in the headers"
    rows.append(("sum", told, f"{check.component_sum:,}", "100%", ""))
    values = "values" if report.quantized is None else "parameters, unpacked,"
    counts: list[Row] = [
        ("count", "values", ""),
        ("stored", f"{totals.stored_parameters:,}", f"all {values} in the files"),
        ("unique", f"{totals.parameters:,}", "every parameter once"),
    ]
    if report.family is not None:
        count = f"{totals.non_embedding_parameters:,}"
        counts.append(("non-embedding", count, f"without {token_tables(report)}"))
    tables = [rows, [row[:4] for row in rows]]
    return Page(
        headline(report),
        [
            Grid(tables, (2, 3), frozenset({"sum"})),
            Grid([counts], (1,)),
            Notes([_why(report), *checks(report)]),
        ],
        data,
    )


def checks(report: "Inspection") -> list[str]:
    """What holds the counts to the files: byte offsets, and the index of shards."""
    check = report.check
    terms = [f"{part.bytes:,} B ÷ {part.bits / 8:g} ({part.dtype})" for part in check.plain]
    if check.packed_bytes:
        terms.append(f"{check.packed_parameters:,} packed in {check.packed_bytes:,} B")
    verdict = "=" if check.agrees else "DIFFERS FROM"
    lines = [f"Check: the components' {check.component_sum:,} {verdict} {' + '.join(terms) or 0}"]
    if check.shards is not None:
        files = counted(check.shards, "shard")
        lines.append(
            f"Check: the headers of {files} hold exactly the "
            f"{counted(report.totals.tensors, 'tensor')} of the index's weight_map"
        )
    return lines


def token_tables(report: "Inspection") -> str:
    """The tables that non-embedding counts leave out."""
    tables = ["W_E"]
    if any(row.component == "positions" for row in report.components):
        tables.append("W_pos")
    if not report.tied:
        tables.append("W_unembed")
    return " and ".join(tables)


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
    reasons.append(f"non-embedding leaves out {token_tables(report)} ({left_out:,})")
    return f"Why they differ: {'; '.join(reasons)}."
