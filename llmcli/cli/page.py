"""A report laid out once, as facts, tables and lines, and shown as text, Markdown or CSV.

It knows nothing of what the report says. What it is given is safe to show: it escapes only what
the form itself would read.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcli.cli.table import FittedTable, Joined, Row, fullest

if TYPE_CHECKING:
    from rich.console import RenderableType

Record = Sequence[str | int | float | None]

BAR = "█"
_BAR_WIDTH = 10

# What Markdown would read as markup within a line; underscores within words are none.
_MARKUP = re.compile(r"([\\`*<>|\[\]])")


@dataclass(frozen=True)
class Grid:
    """A table: the first of `tables` that fits, as `FittedTable` has it. A `drawing` is lines with
    something beside them: it keeps its looks in every form."""

    tables: Iterable[Iterable[Row]]
    right: Sequence[int]
    headings: AbstractSet[str] = frozenset()
    drawing: bool = False

    @property
    def fitted(self) -> FittedTable:
        return FittedTable(
            self.tables,
            right=self.right,
            headings=self.headings,
            all_in="a wider terminal, or -o csv,",
        )


@dataclass(frozen=True)
class Notes:
    """Plain sentences, a line each; a `drawing` keeps its looks in every form."""

    lines: Sequence[str]
    drawing: bool = False


@dataclass(frozen=True)
class Page:
    """The `facts` are the headline; `data`, its column names first, is the same for programs."""

    facts: Sequence[str]
    parts: Sequence[Grid | Notes]
    data: Iterable[Record]


def bar(share: float) -> str:
    """A share of 1 as a bar of up to ten blocks."""
    return BAR * round(share * _BAR_WIDTH)


def text(page: Page) -> "RenderableType":
    """For a terminal."""
    from rich.console import Group
    from rich.text import Text

    shown: list[RenderableType] = [Joined(page.facts, "bold")]
    for part in page.parts:
        shown.append(Text())
        if isinstance(part, Grid):
            shown.append(part.fitted)
        else:
            shown += map(Text, part.lines)
    return Group(*shown)


def plain(page: Page) -> Iterator[str]:
    """Lines for a pipe: the same without styles, nothing left out, and without Rich, whose import
    takes longer than all the rest."""
    yield from Joined(page.facts).lines(None)
    for part in page.parts:
        yield ""
        yield from plain_lines(part)


def markdown(page: Page) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"**{' · '.join(map(_marked, page.facts))}**"
    for part in page.parts:
        yield ""
        if part.drawing:
            yield from ("```text", *plain_lines(part), "```")
        elif isinstance(part, Grid):
            yield from _markdown_table(part)
        else:
            yield from (f"- {_marked(line)}" for line in part.lines)


def comma_separated(page: Page) -> Iterator[str]:
    """Records of CSV, which lines they are but for line breaks in quotes."""
    writer = csv.writer(_Given(), lineterminator="")
    return (writer.writerow(record) for record in page.data)


class _Given:
    """Gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def plain_lines(part: Grid | Notes) -> Iterator[str]:
    """A part as lines of text, nothing left out."""
    if isinstance(part, Notes):
        return iter(part.lines)
    return (line for line, _ in part.fitted.lines(None))


def _markdown_table(grid: Grid) -> Iterator[str]:
    rows = iter(fullest(grid.tables))
    names = next(rows)
    rule = ["--:" if column in grid.right else ":--" for column in range(len(names))]
    yield _markdown_row(names)
    yield f"| {' | '.join(rule)} |"
    yield from (_markdown_row(row, bold=row[0] in grid.headings) for row in rows)


def _markdown_row(row: Sequence[str], *, bold: bool = False) -> str:
    cells = [_marked_cell(cell) for cell in row]
    return f"| {' | '.join(f'**{cell}**' if bold and cell else cell for cell in cells)} |"


def _marked_cell(cell: str) -> str:
    bare = cell.lstrip(" ")
    return "&nbsp;" * (len(cell) - len(bare)) + _marked(bare)


def _marked(line: str) -> str:
    return _MARKUP.sub(r"\\\1", line.replace("&", "&amp;"))
