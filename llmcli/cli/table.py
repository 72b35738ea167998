"""Plain tables and lines that fit: on a narrow terminal columns go before text is cut, in a pipe
nothing is cut. It knows nothing of what the cells say.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from llmcli.cli.output import safe

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
Row = tuple[str, ...]

GAP = 2
JSON = "a wider terminal, or --json,"  # what has every column of most commands
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def cell(text: str) -> str:
    """Untrusted text for one cell: safe, and on one line."""
    return safe(text).replace("\n", "\\n").replace("\t", "\\t")


def size(n_bytes: int) -> str:
    """A count of bytes with its unit: `972 B`, `22.5 KiB`, `256.6 MiB`."""
    value, unit = float(n_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:,.1f} {_UNITS[unit]}" if unit else f"{n_bytes} B"


class Joined:
    """Short facts on one line, between middle dots; broken only between two facts."""

    def __init__(self, facts: Sequence[str], style: str = "") -> None:
        self.facts, self.style = facts, style

    def lines(self, width: int | None) -> list[str]:
        """They in `width` columns; None: on one line."""
        from rich.cells import cell_len

        lines: list[str] = []
        for fact in self.facts:
            joined = f"{lines[-1]} · {fact}" if lines else fact
            if lines and (width is None or cell_len(joined) <= width):
                lines[-1] = joined
            else:
                lines.append(fact)
        return lines

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        yield Text("\n".join(self.lines(_width(options))), self.style)


class FittedTable:
    """The first of `tables`, the fullest first, that fits the width; each begins with its header.

    Before a column goes, columns move closer; one without text takes no room. Where none fits,
    each name has a line to itself.
    `right` numbers the columns whose cells are aligned to the right. A row whose name is in
    `headings` is bold: it heads the rows below it. `all_in` says what has every column: where some
    are left out, a last line names them and it. Without it, they are left out silently.
    """

    def __init__(
        self,
        tables: Sequence[Sequence[Row]],
        *,
        right: Sequence[int],
        headings: frozenset[str] = frozenset(),
        all_in: str = "",
    ) -> None:
        self.tables, self.right, self.headings = tables, right, headings
        self.all_in = all_in

    def lines(self, width: int | None) -> Iterator[tuple[str, str]]:
        """Lines, each with its style (bold, dim or none), in `width` columns. None: nothing is left
        out or broken, as in a pipe, which has no width."""
        from rich.cells import cell_len

        rows, widths, gap = self._fitting(width)
        fits = width is None or _room(widths, gap) <= width
        for place, row in enumerate(rows):
            cells = [
                " " * (wide - cell_len(text)) + text
                if column in self.right
                else text + " " * (wide - cell_len(text))
                for column, (text, wide) in enumerate(zip(row, widths, strict=True))
                if wide
            ]
            between = " " * gap
            line = between.join(cells) if fits else f"{row[0]}\n    {between.join(cells[1:])}"
            yield line.rstrip(), "bold" if place == 0 or row[0] in self.headings else ""
        left_out = [name for name in self.tables[0][0] if name and name not in rows[0]]
        if left_out and self.all_in:
            yield f"left out: {', '.join(left_out)} · {self.all_in} has all columns", "dim"

    def _fitting(self, width: int | None) -> tuple[Sequence[Row], list[int], int]:
        """The rows to show, their columns' widths, and what lies between two columns."""
        from rich.cells import cell_len

        for rows in self.tables:
            widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
            for gap in (GAP, 1):
                if width is None or _room(widths, gap) <= width:
                    return rows, widths, gap
        return rows, widths, GAP

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        for line, style in self.lines(_width(options)):
            yield Text(line, style)


def _room(widths: Sequence[int], gap: int) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + gap * (len(shown) - 1)


def _width(options: "ConsoleOptions") -> int | None:
    return None if options.no_wrap else options.max_width
