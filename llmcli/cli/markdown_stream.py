"""Markdown that is still being written, printed as it comes and never printed again.

It knows which end of a text may yet turn out to be something else, and holds that back; looks are
`markdown_parts`', printing is `flow`'s.
"""

import re
from typing import TYPE_CHECKING

from llmcli.cli.flow import Flow
from llmcli.cli.markdown_parts import Block, blocks_of, units
from llmcli.cli.markdown_spans import Span

if TYPE_CHECKING:
    from rich.console import Console

# A last line that has not yet said what it begins: quotes and markers of lists, and then nothing,
# the beginning of a marker, or of a line around code.
_UNDECIDED = re.compile(
    r"(?:[ \t>]|[-+*][ \t]|\d{1,9}[.)][ \t])*"
    r"(?:[-+*_][-+*_ \t]*|\d{1,9}[.)]?|#{1,6}[ \t]*|`{1,2}|`{3,}[^`]*|~{1,2}|~{3,}.*)?"
)
_ROW = re.compile(r"[ \t>]*\|")
# In flowing text these mean nothing but themselves.
_PLAIN = re.compile(r"[\w ,.;:?'\"()/-]+")


class MarkdownStream:
    """`write` takes a text piece by piece; `finish` ends it with a line break."""

    def __init__(self, console: "Console") -> None:
        self._in_colour = console.color_system is not None and not console.no_color
        self._flow = Flow(console)
        # What is not printed yet or could still change, from the beginning of its block; how many
        # of its units are printed.
        self._source, self._printed = "", 0
        self._last = Block(0, [])
        self._spaces: str | None = None  # at the end of text to which plain words may be added

    def write(self, text: str) -> None:
        text = text.replace("\r\n", "\n")
        self._source += text
        if self._in_code() and "\n" not in text:
            return
        if self._spaces is not None and "_" not in text and _PLAIN.fullmatch(text):
            self._add(self._spaces + text)
        else:
            self._update(final=False)

    def finish(self) -> None:
        self._update(final=True)
        self._flow.finish()

    def _in_code(self) -> bool:
        return self._last.ends_in == "fence" and self._last.n_open > 0

    def _add(self, text: str) -> None:
        """Plain words to the text that is being printed, without another look at all of it."""
        words = text.rstrip(" ")
        self._spaces = text[len(words) :]
        self._printed += len(words)
        self._flow.print(Span(words, self._last.style))
        if self._spaces:
            self._flow.end_word()

    def _update(self, *, final: bool) -> None:
        source = self._source if final else self._decided()
        blocks = blocks_of(source, in_colour=self._in_colour)
        if not blocks:
            return
        self._last = last = blocks[-1]
        total = sum(block.n_units() for block in blocks)
        self._print(blocks, total if final else total - last.n_open)
        if not last.n_open and source[-1:].isspace():
            self._flow.end_word()
        words, end = source.rstrip(" "), last.parts[-1]
        flows = last.ends_in == "inline" and not last.n_open and source == self._source
        # Not where the source ends in what is no part of the text: line breaks, `#` of headings.
        flows = flows and isinstance(end, Span) and words.endswith(end.text[-1])
        flows = flows and not words.endswith("#")
        self._spaces = source[len(words) :] if flows else None
        before = total - last.n_units()
        if before and self._printed >= before:
            self._forget(last.line, before)

    def _decided(self) -> str:
        """The text so far, up to where a line or a table begins that may become anything."""
        *lines, last = self._source.split("\n")
        if _ROW.match(last) or _UNDECIDED.fullmatch(last):
            last = ""
            while lines and _ROW.match(lines[-1]):
                lines.pop()
        return "\n".join([*lines, last])

    def _print(self, blocks: list[Block], limit: int) -> None:
        """The units from the first that is not printed up to `limit`."""
        place = 0
        for part in (part for block in blocks for part in block.parts):
            first, end = max(self._printed - place, 0), min(limit - place, units(part))
            place += units(part)
            if first < end:
                self._printed += end - first  # first: Ctrl+C may come at any moment
                shown = Span(part.text[first:end], part.style) if isinstance(part, Span) else part
                self._flow.print(shown)

    def _forget(self, line: int, n_units: int) -> None:
        """The blocks before `line`, which are closed; but not the blank line that sets them off."""
        lines = self._source.split("\n")
        line -= line > 0 and not lines[line - 1].strip()
        self._source = "\n".join(lines[line:])
        self._printed -= n_units
