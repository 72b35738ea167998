"""Plain tables and lines that fit: on a narrow terminal columns go before text is cut, in a pipe
nothing is cut. It knows nothing of what the cells say.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Generic, TypeVar

from llmcli.cli.output import safe

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

Row = tuple[str, ...]
T = TypeVar("T")

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


class Lazy(Generic[T]):
    """What `make` gives, made anew each time somebody goes through it: of a million rows, one is
    there at a time."""

    def __init__(self, make: Callable[[], Iterable[T]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[T]:
        return iter(self._make())


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
        tables: Iterable[Iterable[Row]],
        *,
        right: Sequence[int],
        headings: AbstractSet[str] = frozenset(),
        all_in: str = "",
    ) -> None:
        self.tables, self.right, self.headings = tables, right, headings
        self.all_in = all_in

    def lines(self, width: int | None) -> Iterator[tuple[str, str]]:
        """Lines, each with its style (bold, dim or none), in `width` columns. None: nothing is left
        out or broken, as in a pipe, which has no width."""
        rows, widths, gap = self._fitting(width)
        fits = width is None or _room(widths, gap) <= width
        between = " " * gap
        for place, row in enumerate(rows):
            cells = [
                _padded(text, wide, column in self.right)
                for column, (text, wide) in enumerate(zip(row, widths, strict=True))
                if wide
            ]
            line = between.join(cells) if fits else f"{row[0]}\n    {between.join(cells[1:])}"
            yield line.rstrip(), "bold" if place == 0 or row[0] in self.headings else ""
        shown = header(rows)
        left_out = [name for name in header(fullest(self.tables)) if name and name not in shown]
        if left_out and self.all_in:
            yield f"left out: {', '.join(left_out)} · {self.all_in} has all columns", "dim"

    def _fitting(self, width: int | None) -> tuple[Iterable[Row], list[int], int]:
        """The rows to show, their columns' widths, and what lies between two columns."""
        for rows in self.tables:
            widths = _widths(rows)
            for gap in (GAP, 1):
                if width is None or _room(widths, gap) <= width:
                    return rows, widths, gap
        return rows, widths, GAP

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        for line, style in self.lines(_width(options)):
            yield Text(line, style)


def fullest(tables: Iterable[Iterable[Row]]) -> Iterable[Row]:
    """The first of them."""
    return next(iter(tables))


def header(rows: Iterable[Row]) -> Row:
    return next(iter(rows))


def _widths(rows: Iterable[Row]) -> list[int]:
    widths = [0] * len(header(rows))
    for row in rows:
        widths = [max(wide, _wide(text)) for wide, text in zip(widths, row, strict=True)]
    return widths


def _wide(text: str) -> int:
    """Columns of a terminal that it takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _padded(text: str, wide: int, right: bool) -> str:
    blank = " " * (wide - _wide(text))
    return blank + text if right else text + blank


def _room(widths: Sequence[int], gap: int) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + gap * (len(shown) - 1)


def _width(options: "ConsoleOptions") -> int | None:
    return None if options.no_wrap else options.max_width
