"""A report laid out once, as facts, tables and lines, and shown as text, Markdown or CSV.

It knows nothing of what the report says. What it is given is safe to show: it escapes only what
the form itself would read.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcli.cli.table import FittedTable, Joined, Row

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

    tables: Sequence[Sequence[Row]]
    right: Sequence[int]
    headings: frozenset[str] = frozenset()
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


def plain(page: Page) -> str:
    """For a pipe: the same without styles, nothing left out, and without Rich, whose import takes
    longer than all the rest."""
    blocks = ["\n".join(Joined(page.facts).lines(None))]
    blocks += ["\n".join(plain_lines(part)) for part in page.parts]
    return "\n\n".join(blocks)


def markdown(page: Page) -> str:
    blocks = [f"**{' · '.join(map(_marked, page.facts))}**"]
    for part in page.parts:
        if part.drawing:
            blocks.append("\n".join(["```text", *plain_lines(part), "```"]))
        elif isinstance(part, Grid):
            blocks.append(_markdown_table(part))
        else:
            blocks.append("\n".join(f"- {_marked(line)}" for line in part.lines))
    return "\n\n".join(blocks)


def comma_separated(page: Page) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(page.data)
    return written.getvalue().rstrip("\n")


def plain_lines(part: Grid | Notes) -> list[str]:
    """A part as lines of text, nothing left out."""
    if isinstance(part, Notes):
        return list(part.lines)
    return [line for line, _ in part.fitted.lines(None)]


def _markdown_table(grid: Grid) -> str:
    header, *rows = grid.tables[0]
    rule = ["--:" if column in grid.right else ":--" for column in range(len(header))]
    lines = [_markdown_row(header), f"| {' | '.join(rule)} |"]
    lines += [_markdown_row(row, bold=row[0] in grid.headings) for row in rows]
    return "\n".join(lines)


def _markdown_row(row: Sequence[str], *, bold: bool = False) -> str:
    cells = [_marked_cell(cell) for cell in row]
    return f"| {' | '.join(f'**{cell}**' if bold and cell else cell for cell in cells)} |"


def _marked_cell(cell: str) -> str:
    bare = cell.lstrip(" ")
    return "&nbsp;" * (len(cell) - len(bare)) + _marked(bare)


def _marked(line: str) -> str:
    return _MARKUP.sub(r"\\\1", line.replace("&", "&amp;"))
