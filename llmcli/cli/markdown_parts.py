"""Markdown -> the parts of its look, in the order in which they are printed.

It knows what each kind of block looks like, and nothing of terminals or of text that still grows.
What would change lines far above is left out: Setext headings, reference links, raw HTML,
indented code, tables without a bar before each row. Line breaks are kept, and so are blank lines,
one at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.rules_block import table

from llmcli.cli.markdown_spans import LINE_BREAK, Span, Spans

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

HEADINGS = {"h1": "bold underline", "h2": "bold"}
OTHER_HEADING, HEAD_CELL = "bold italic", "bold"
BULLET, QUOTE = Span("• ", ""), Span("│ ", "dim")
RULE = Span("─" * 40, "dim")


@dataclass(frozen=True)
class NewLine:
    """A line that begins with `lead`, and with `hang` where it is broken. `blank`: after one that
    is free."""

    lead: tuple[Span, ...]
    hang: tuple[Span, ...]
    blank: bool = False


@dataclass(frozen=True)
class CodeLine:
    """Line number `line`, from 0, of a block of code."""

    code: str
    language: str
    line: int


@dataclass(frozen=True)
class Grid:
    """A table: rows of cells, the first of them the head; and how each column is aligned."""

    rows: tuple[tuple[tuple[Span, ...], ...], ...]
    aligned: tuple[str, ...]


Part = Span | NewLine | CodeLine | Grid


@dataclass
class Block:
    """A block of the outermost level, which begins on line `line` of the source. Its last
    `n_open` units may look otherwise once more text follows, where a span has as many units as
    characters and every other part has one. `ends_in` is the kind of its last token: `inline`
    text in `style`, or another."""

    line: int
    parts: list[Part]
    n_open: int = 0
    ends_in: str = ""
    style: str = ""

    def n_units(self) -> int:
        return sum(units(part) for part in self.parts)


def units(part: Part) -> int:
    return len(part.text) if isinstance(part, Span) else 1


def blocks_of(source: str, *, in_colour: bool) -> list[Block]:
    """The blocks of a text, in order."""
    return list(_Walk(source, in_colour).blocks())


@cache
def _parser() -> MarkdownIt:
    # Without text_join what stands behind a backslash is told from other text.
    left_out = ["lheading", "reference", "code", "html_block", "html_inline", "text_join"]
    parser = MarkdownIt("commonmark").disable(left_out).enable(["table", "strikethrough"])
    parser.block.ruler.at("table", _barred_table, {"alt": ["paragraph"]})
    return parser


def _barred_table(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    first = state.bMarks[start] + state.tShift[start]
    return state.src[first : first + 1] == "|" and table(state, start, end, silent)


class _Walk:
    """Once through the tokens of a text."""

    def __init__(self, source: str, in_colour: bool) -> None:
        self._lines = source.split("\n")
        self._tokens = _parser().parse(source)
        self._in_colour = in_colour
        # Lists and quotes around the current place: what their first line begins with, unless it
        # is used up, and what the others begin with.
        self._around: list[tuple[Span | None, Span]] = []

    def blocks(self) -> Iterator[Block]:
        block = Block(0, [])
        for place, token in enumerate(self._tokens):
            if token.level == 0 and token.map is not None:
                if block.parts:
                    yield block
                block = Block(token.map[0], [])
            take = getattr(self, f"_{token.type}", None)
            if take is not None:
                take(token, place, block)
        if block.parts:
            yield block

    def _begin(self, token: "Token", block: Block) -> None:
        """A new line for a block of text, code or a table."""
        assert token.map is not None
        lead = tuple(hang if first is None else first for first, hang in self._around)
        self._around = [(None, hang) for _, hang in self._around]
        before = self._lines[token.map[0] - 1] if token.map[0] else "-"
        block.parts.append(NewLine(lead, self._hang(), blank=not before.strip(" \t>")))
        block.ends_in, block.n_open = token.type, 0

    def _hang(self) -> tuple[Span, ...]:
        return tuple(hang for _, hang in self._around)

    def _list_item_open(self, token: "Token", place: int, block: Block) -> None:
        marker = Span(f"{token.info}{token.markup} ", "") if token.info else BULLET
        self._around.append((marker, Span(" " * len(marker.text), "")))

    def _list_item_close(self, token: "Token", place: int, block: Block) -> None:
        self._around.pop()

    def _blockquote_open(self, token: "Token", place: int, block: Block) -> None:
        self._around.append((QUOTE, QUOTE))

    def _blockquote_close(self, token: "Token", place: int, block: Block) -> None:
        self._around.pop()

    def _paragraph_open(self, token: "Token", place: int, block: Block) -> None:
        self._begin(token, block)
        block.style = ""

    def _heading_open(self, token: "Token", place: int, block: Block) -> None:
        self._begin(token, block)
        block.style = HEADINGS.get(token.tag, OTHER_HEADING)

    def _inline(self, token: "Token", place: int, block: Block) -> None:
        if self._tokens[place - 1].type in ("th_open", "td_open"):
            return
        spans = Spans(token.children or [], block.style, in_colour=self._in_colour)
        for span in spans.spans:
            line = NewLine(self._hang(), self._hang())
            block.parts.append(line if span.text == LINE_BREAK else span)
        block.n_open = sum(len(span.text) for span in spans.spans) - spans.settled
        block.ends_in = "inline"

    def _hr(self, token: "Token", place: int, block: Block) -> None:
        self._begin(token, block)
        block.parts.append(RULE)

    def _fence(self, token: "Token", place: int, block: Block) -> None:
        self._begin(token, block)
        assert token.map is not None
        language = token.info.split()[0] if token.info.strip() else ""
        block.parts.append(_titled(language) if language else RULE)
        new_line = NewLine(self._hang(), self._hang())
        n_lines = token.content.removesuffix("\n").count("\n") + 1 if token.content else 0
        for number in range(n_lines):
            block.parts += [new_line, CodeLine(token.content, language, number)]
        block.parts += [new_line, RULE]
        if token.map[1] - token.map[0] <= n_lines + 1:  # it is not closed
            block.n_open = units(new_line) + units(RULE)
            if n_lines and self._lines[-1]:  # nor is its last line
                block.n_open += units(new_line) + 1

    def _table_open(self, token: "Token", place: int, block: Block) -> None:
        self._begin(token, block)
        rows: list[list[tuple[Span, ...]]] = []
        aligned: list[str] = []
        for number, cell in enumerate(self._tokens[place:], place):
            if cell.type == "tr_open":
                rows.append([])
            elif cell.type in ("th_open", "td_open"):
                style = HEAD_CELL if cell.type == "th_open" else ""
                inline = self._tokens[number + 1].children or []
                spans = Spans(inline, style, in_colour=self._in_colour).spans
                rows[-1].append(tuple(spans))
                if cell.type == "th_open":
                    aligned.append(str(cell.attrs.get("style", "")).removeprefix("text-align:"))
            elif cell.type == "table_close":
                break
        block.parts.append(Grid(tuple(map(tuple, rows)), tuple(aligned)))
        assert token.map is not None
        if len(self._lines) <= token.map[1] + 1:  # no line has come after it: it may go on
            block.n_open = 2


def _titled(label: str) -> Span:
    words = f"── {label} "
    return Span(words + "─" * (len(RULE.text) - len(words)), RULE.style)
