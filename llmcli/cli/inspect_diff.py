"""`inspect diff A B`: the two models of the command line, and what differs between them as a page.

It knows how a difference is said; what differs comes from `views.difference`.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmcli.cli.inspect_words import at_commit, counted, read_cost, shape, span
from llmcli.cli.output import Output
from llmcli.cli.page import Grid, Notes, Page, Record
from llmcli.cli.table import Row, cell, size
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.checkpoint.store import RemoteModel, Source
    from llmcli.views.difference import Difference, FieldDifference, FoldedDifference, Stored

_HINT = "two models are compared so: llmcli inspect diff A B (a folder named diff is ./diff)"
_SHOWN = 40  # characters of a config's value in a table; csv and json have all


def pair(first: str | None, rest: Sequence[str], *, alone: bool) -> tuple[str, str]:
    """A and B of `diff A B`; `alone`: no option of another look is given. Raises UsageError."""
    if first != "diff":
        raise UsageError(f"one MODEL at a time: {first} and {rest[0]} are two", hint=_HINT)
    if len(rest) != 2:
        raise UsageError(f"diff takes two models, not {len(rest)}", hint=_HINT)
    if not alone:
        raise UsageError(
            "diff is a look of its own: leave out the options that choose or select others",
            hint="it takes -o, --html, --svg, --offline; a revision is written org/name@revision",
        )
    return rest[0], rest[1]


def compared(found: "Sequence[Source | RemoteModel]", output: Output) -> "Difference":
    from llmcli.views import difference

    a, b = found
    told = difference.compare(a, b)
    for side in (told.a, told.b):
        if side.source.requests:
            output.notice(read_cost(side.model, side.source, side.bytes))
    if not told.config_compared:
        output.notice("config.json is not compared: a side has none that can be read")
    return told


def differences(told: "Difference") -> Page:
    """Totals, tensors with equal layers folded, fields of config.json."""
    from llmcli.views.difference import fold

    count = counted(len(told.tensors), "tensor")
    facts = [f"A: {at_commit(told.a.model, told.a.source)}"]
    facts.append(f"B: {at_commit(told.b.model, told.b.source)}")
    facts += ["equal"] if told.equal else [f"{count}, {counted(len(told.config), 'field')} differ"]
    parts: list[Grid | Notes] = [Grid([_totals(told)], (1, 2, 3))]
    if told.tensors:
        parts.append(_tensors(fold(told.tensors)))
    if told.config:
        rows: list[Row] = [("config.json", "", "A", "B")]
        rows += map(_field_row, told.config)
        parts.append(Grid([rows], ()))
    parts.append(Notes([_verdict(told)]))
    return Page(facts, parts, _records(told))


def _totals(told: "Difference") -> list[Row]:
    a, b = told.a, told.b
    pairs = [("tensors", a.tensors, b.tensors), ("parameters", a.parameters, b.parameters)]
    rows: list[Row] = [("", "A", "B", "B - A")]
    rows += [(name, f"{one:,}", f"{two:,}", _more(two - one)) for name, one, two in pairs]
    sign = "-" if b.bytes < a.bytes else "+" if b.bytes > a.bytes else ""
    rows.append(("bytes", size(a.bytes), size(b.bytes), sign + size(abs(b.bytes - a.bytes))))
    return rows


def _more(count: int) -> str:
    return f"{count:+,}" if count else "0"


def _tensors(folded: "Sequence[FoldedDifference]") -> Grid:
    """By whole names; on a narrow terminal, names stand below those of their layers."""
    header: Row = ("tensor", "", "A", "B")
    whole, below, above = [header], [header], ""
    headings = set()
    for row in folded:
        facts = (row.change, _stored(row.a), _stored(row.b))
        name = cell(row.name[-1])
        if not row.layers:
            whole.append((name, *facts))
            below.append((name, *facts))
            above = ""
            continue
        stack = f"{cell(row.name[0])}.{span(row.layers)}".removeprefix(".")
        if stack != above:
            below.append((stack, "", "", ""))
            headings.add(stack)
            above = stack
        whole.append((f"{stack}.{name}", *facts))
        below.append((f"  {name}", *facts))
    return Grid([whole, below], (), frozenset(headings))


def _stored(stored: "Stored | None") -> str:
    return "" if stored is None else f"{stored.dtype} {shape(stored.shape)}"


def _field_row(row: "FieldDifference") -> Row:
    a = "" if row.change == "added" else _short(_value(row.a))
    b = "" if row.change == "removed" else _short(_value(row.b))
    return (cell(row.field), row.change, a, b)


def _value(value: Any) -> str:
    return cell(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _verdict(told: "Difference") -> str:
    what = "names, shapes and dtypes of all tensors"
    what += ", and config.json" if told.config_compared else " (config.json is not compared)"
    if told.equal:
        return f"Equal: {what}. Weights are not read."
    return f"Compared: {what}. Weights are not read."


def _records(told: "Difference") -> list[Record]:
    rows: list[Record] = [("what", "name", "change", "a", "b")]
    for name in ("tensors", "parameters", "bytes"):
        rows.append(("total", name, "", getattr(told.a, name), getattr(told.b, name)))
    for tensor in told.tensors:
        a, b = _stored(tensor.a), _stored(tensor.b)
        rows.append(("tensor", cell(tensor.name), tensor.change, a, b))
    for field in told.config:
        a = "" if field.change == "added" else _value(field.a)
        b = "" if field.change == "removed" else _value(field.b)
        rows.append(("config", cell(field.field), field.change, a, b))
    return rows
