"""Streams and looks: what goes to stdout, what to stderr, and how text is made safe to show.

It knows nothing of models; every command prints through one `Output`.
"""

import os
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from llmcli.reports import json_pieces

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Report = TypeVar("Report")

# Format characters that join or select within a word or an emoji; every other one may reorder or
# hide text on a terminal.
_HARMLESS_FORMAT = frozenset("\u200c\u200d")


def safe(text: str) -> str:
    """`text` with everything that could steer a terminal shown as a visible escape.

    Escaped: C0 and C1 controls but newline and tab, bidirectional and other invisible format
    characters, lone surrogates. `\\x1b[2J` becomes the six visible characters `\\x1b[2J`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in "\n\t" or character in _HARMLESS_FORMAT or character.isprintable():
        return character
    if unicodedata.category(character) in ("Zs", "Co"):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


@dataclass
class Output:
    """Where one command's words go: data to stdout, everything else to stderr."""

    json: bool = False
    quiet: bool = False
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def interactive(self) -> bool:
        """Whether stdout is a terminal that a person reads."""
        return self.stdout.isatty()

    @property
    def styled(self) -> bool:
        """Whether what is drawn on stdout has styles: on a terminal, or because a variable that
        Rich hears says so."""
        asked = os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE") == "1"
        return self.interactive or bool(asked)

    def console(self, *, stderr: bool = False) -> "Console":
        """A Rich console on one of the two streams: plain and unwrapped where it is no terminal."""
        from rich.console import Console

        stream = self.stderr if stderr else self.stdout
        console = Console(
            file=stream,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=not stream.isatty(),
        )
        if not stream.isatty() and "COLUMNS" not in os.environ:
            console.width = 200  # a pipe has no width: tables are never cut for it
        return console

    def emit(self, report: Report, render: "Callable[[Report], RenderableType]") -> None:
        """One report on stdout: as a JSON document with `--json`, else as `render` draws it."""
        if self.json:
            for piece in json_pieces(report):
                self.stdout.write(safe(piece) if self.interactive else piece)
            self.line("")
        else:
            self.console().print(render(report))

    def line(self, text: str) -> None:
        """A line or more of data on stdout: safe on a terminal, else as it is."""
        self.text(text + "\n")

    def lines(self, texts: Iterable[str]) -> None:
        """Many lines, each written as it comes."""
        interactive = self.interactive
        for text in texts:
            self.stdout.write(f"{safe(text) if interactive else text}\n")
        self.stdout.flush()

    def text(self, text: str) -> None:
        """A piece of an answer on stdout, at once: safe on a terminal, else as it is."""
        self.stdout.write(safe(text) if self.interactive else text)
        self.stdout.flush()

    def notice(self, text: str) -> None:
        """One line for the person, on stderr, unless `--quiet`."""
        if not self.quiet:
            self.stderr.write(self._fitted(safe(text)) + "\n")
            self.stderr.flush()

    def error(self, message: str, hint: str | None = None) -> None:
        """`error: ...` and, where there is one, `hint: ...` on stderr."""
        self.stderr.write(self._fitted(f"error: {safe(message)}") + "\n")
        if hint:
            self.stderr.write(self._fitted(f"hint: {safe(hint)}") + "\n")
        self.stderr.flush()

    def _fitted(self, text: str) -> str:
        """Broken between words where stderr is a terminal, which itself would break within them."""
        try:
            width = os.get_terminal_size(self.stderr.fileno()).columns
        except (OSError, ValueError):  # no terminal, closed
            return text
        if not width:  # a terminal that does not know its size
            return text
        fitted = (
            textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
            for line in text.split("\n")
        )
        return "\n".join(fitted)


def set_up_streams() -> None:
    """UTF-8 with replacement, whatever the locale says: model text is Unicode. What is written to
    a stream that the caller has closed (`>&-`) goes nowhere."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")
