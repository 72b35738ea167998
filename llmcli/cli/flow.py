"""Prints the parts of a Markdown text, one after the other; what is printed is never changed.

It knows where a line is full and what colours code has, and nothing of Markdown's marks.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from llmcli.cli.markdown_parts import CodeLine, Grid, NewLine, Part
from llmcli.cli.markdown_spans import Span
from llmcli.cli.output import safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Of the 16 colours, those that can be read on white and on black.
CODE_COLOURS = {
    "Comment": "dim italic",
    "Keyword": "magenta",
    "Operator.Word": "magenta",
    "Name.Builtin": "cyan",
    "Name.Function": "cyan",
    "Name.Class": "bold cyan",
    "Name.Decorator": "magenta",
    "Name.Tag": "magenta",
    "Name.Attribute": "cyan",
    "Literal.String": "green",
    "Literal.Number": "cyan",
    "Generic.Deleted": "red",
    "Generic.Inserted": "green",
    "Generic.Heading": "bold",
    "Generic.Prompt": "bold",
}


class Flow:
    """Text broken between words at the width of the terminal. A word is printed when it is known
    on which line; a wide character, as in Chinese, is a word by itself."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._width = console.width
        self._begun = False
        self._column = self._space = 0
        self._hang: tuple[Span, ...] = ()
        self._word: list[tuple[str, str]] = []
        self._within = False  # whether the beginning of the word is printed
        self._code: tuple[str, list[Text]] = ("", [])

    def print(self, part: Part) -> None:
        """The next part."""
        match part:
            case Span():
                self._text(safe(part.text), part.style)
            case NewLine():
                self._new_line(part)
            case CodeLine():
                self._code_line(part)
            case Grid():
                self._grid(part)

    def finish(self) -> None:
        """Print what is held back, and end the line."""
        self.end_word()
        self._put("\n", "")

    def _text(self, text: str, style: str) -> None:
        from rich.cells import cell_len

        for piece in re.findall(r"\s+|\S+", text):
            if piece.isspace():
                self.end_word()
                self._space += len(piece)
                continue
            for word in [piece] if piece.isascii() else _words(piece):
                if self._word and (_is_wide(word) or _is_wide(self._word[-1][0])):
                    self.end_word()
                self._word.append((word, style))
            width = sum(cell_len(word) for word, _ in self._word)
            if self._within or self._column + self._space + width > self._width:
                self._print_word(width)
                self._within = True  # which the terminal breaks if it is longer than a line

    def end_word(self) -> None:
        """The last word is over, also where no space has been printed after it."""
        from rich.cells import cell_len

        if self._word:
            self._print_word(sum(cell_len(text) for text, _ in self._word))
        self._within = False

    def _print_word(self, width: int) -> None:
        from rich.cells import cell_len

        hang = sum(cell_len(span.text) for span in self._hang)
        self._width = self._console.width  # it may have changed
        full = self._column + self._space + width > self._width
        if full and not self._within and self._column > hang:
            self._put("\n", "")
            self._column = self._space = 0
            self._lead(self._hang)
        if self._space:
            self._put(" " * self._space, "")
        for text, style in self._word:
            self._put(text, style)
        self._column = (self._column + self._space + width - 1) % self._width + 1
        self._space, self._word = 0, []

    def _new_line(self, line: NewLine) -> None:
        self.end_word()
        if self._begun:
            self._put("\n\n" if line.blank else "\n", "")
        self._begun, self._column, self._space = True, 0, 0
        self._hang = line.hang
        self._lead(line.lead)

    def _lead(self, spans: Iterable[Span]) -> None:
        from rich.cells import cell_len

        for span in spans:
            self._put(span.text, span.style)
            self._column += cell_len(span.text)

    def _code_line(self, line: CodeLine) -> None:
        if self._code[0] != line.code:
            self._code = (line.code, self._highlighted(line))
        lines = self._code[1]
        # As it is, so that it can be copied: the terminal breaks what is too long.
        text = lines[line.line] if line.line < len(lines) else ""
        self._console.print(text, soft_wrap=True, end="")

    def _highlighted(self, line: CodeLine) -> "list[Text]":
        from rich.style import Style
        from rich.syntax import ANSISyntaxTheme, Syntax

        colours = {
            tuple(name.split(".")): Style.parse(style) for name, style in CODE_COLOURS.items()
        }
        code = safe(line.code)
        syntax = Syntax(code, line.language or "text", theme=ANSISyntaxTheme(colours))
        return list(syntax.highlight(code).split("\n", allow_blank=True))

    def _grid(self, grid: Grid) -> None:
        from rich import box
        from rich.segment import Segments
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for cell, aligned in zip(grid.rows[0], grid.aligned, strict=True):
            table.add_column(_cell(cell), justify="right" if aligned == "right" else "left")
        for row in grid.rows[1:]:
            table.add_row(*map(_cell, row))
        options = self._console.options.update_width(max(self._console.width - self._column, 1))
        for number, line in enumerate(self._console.render_lines(table, options, pad=False)):
            if number:
                self._new_line(NewLine(self._hang, self._hang))
            self._console.print(Segments(line), end="")

    def _put(self, text: str, style: str) -> None:
        self._console.out(text, style=style or None, highlight=False, end="")


def _cell(spans: Iterable[Span]) -> "Text":
    from rich.text import Text

    return Text.assemble(*((safe(span.text), span.style) for span in spans))


def _words(text: str) -> list[str]:
    """A wide character is a word of its own; what has no width belongs to what comes before."""
    from rich.cells import get_character_cell_size

    words: list[str] = []
    for character in text:
        width = get_character_cell_size(character)
        if words and (width == 0 or (width == 1 and not _is_wide(words[-1]))):
            words[-1] += character
        else:
            words.append(character)
    return words


def _is_wide(text: str) -> bool:
    from rich.cells import get_character_cell_size

    return get_character_cell_size(text[0]) == 2
