"""Plain tables and lines that fit: on a narrow terminal columns go before text is cut, in a pipe
nothing is cut. It knows nothing of what the cells say.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmcli.cli.output import safe

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
Row = tuple[str, ...]

GAP = 2
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

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.cells import cell_len
        from rich.text import Text

        lines: list[str] = []
        for fact in self.facts:
            joined = f"{lines[-1]} · {fact}" if lines else fact
            if lines and (options.no_wrap or cell_len(joined) <= options.max_width):
                lines[-1] = joined
            else:
                lines.append(fact)
        yield Text("\n".join(lines), self.style)


class FittedTable:
    """The first of `tables`, the fullest first, that fits the width; each begins with its header.

    Where none fits, each name has a line to itself. `right` numbers the columns whose cells are
    aligned to the right. A row whose name is in `headings` is bold: it heads the rows below it.
    """

    def __init__(
        self,
        tables: Sequence[Sequence[Row]],
        *,
        right: Sequence[int],
        headings: frozenset[str] = frozenset(),
    ) -> None:
        self.tables, self.right, self.headings = tables, right, headings

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.cells import cell_len
        from rich.text import Text

        for rows in self.tables:
            widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
            fits = sum(widths) + GAP * (len(widths) - 1) <= options.max_width
            # A pipe has no width: there nothing may be left out or broken.
            if fits or options.no_wrap:
                break
        for place, row in enumerate(rows):
            cells = [
                " " * (width - cell_len(text)) + text
                if column in self.right
                else text + " " * (width - cell_len(text))
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            between = " " * GAP
            line = between.join(cells)
            if not fits and not options.no_wrap:
                line = f"{row[0]}\n    {between.join(cells[1:])}"
            yield Text(line.rstrip(), "bold" if place == 0 or row[0] in self.headings else "")
