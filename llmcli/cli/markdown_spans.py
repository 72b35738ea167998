"""The inline text of one Markdown block -> styled spans, and how much of them is settled.

It knows emphasis, code, links and what may yet become one of them, and nothing of blocks.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token

STYLES = {"strong": "bold", "em": "italic", "s": "strike", "link": "underline"}
CODE, ADDRESS = "cyan", "dim"
LINE_BREAK = "\n"
# Runs of characters that may open something, and what at the end of a text more of it could turn
# into an entity, an address, an escape or an image.
_MARK = re.compile(r"\*+|_+|~~+|`+|!?\[|(?P<end>(?=(?:&#?\w{0,31}|<[^\s<>]*|\\|!|~)\Z))")


@dataclass(frozen=True)
class Span:
    """`literal`: it is shown as it stands in the source, so that it may hold marks that are not
    closed yet. A line break is a span of its own."""

    text: str
    style: str
    literal: bool = False


class Spans:
    """`spans` in the style `base` and those of their emphasis; of their characters, the first
    `settled` stay as they are whatever text follows. Without colour, code keeps its marks."""

    def __init__(self, children: "Sequence[Token]", base: str, *, in_colour: bool) -> None:
        self.spans: list[Span] = []
        self._in_colour = in_colour
        self._length = 0
        self._styles = [base]
        self._links: list[tuple[str, int]] = []
        outer: list[tuple[int, int]] = []  # where each emphasis, code or link begins and ends
        for token in children:
            is_text = token.type in ("text", "text_special")
            if len(self._styles) == 1 and not is_text:
                outer.append((self._length, self._length))
            self._take(token)
            if len(self._styles) > 1 or not is_text:
                outer[-1] = (outer[-1][0], self._length)
        settled = self._first_open()
        # An open mark may undo what is around it: "`" of "**a `b**" once another one follows. And
        # so may more text behind what is closed at the very end: "_a_" in "_a_b".
        text = "".join(span.text for span in self.spans)
        if outer and not text[outer[-1][1] :].strip("*_~`"):
            settled = min(settled, outer[-1][0])
        within = [first for first, end in outer if first <= settled < end]
        self.settled = min([settled, *within])

    def _take(self, token: "Token") -> None:
        style = " ".join(filter(None, self._styles))
        if token.nesting > 0:
            self._styles.append(STYLES[token.type.removesuffix("_open")])
            self._links.append((str(token.attrs.get("href", "")), len(self.spans)))
        elif token.nesting < 0:
            self._styles.pop()
            address, first = self._links.pop()
            shown = "".join(span.text for span in self.spans[first:])
            if address and address.removeprefix("mailto:") != shown:
                self._add(f" ({address})", ADDRESS)
        elif token.type == "code_inline":
            mark = "" if self._in_colour else token.markup
            self._add(f"{mark}{token.content}{mark}", f"{style} {CODE}".strip())
        elif token.type in ("softbreak", "hardbreak"):
            self._add(LINE_BREAK, "")
        elif token.type == "image":
            self._add(f"{token.content} ({token.attrs['src']})", f"{style} {ADDRESS}".strip())
        else:
            self._add(token.content, style, literal=token.type == "text")

    def _add(self, text: str, style: str, *, literal: bool = False) -> None:
        if text:
            self.spans.append(Span(text, style, literal))
            self._length += len(text)

    def _first_open(self) -> int:
        """The place of the first mark that may yet turn out to open something."""
        start = 0
        for span in self.spans:
            for place in (
                _open_marks(span.text, last=span is self.spans[-1]) if span.literal else ()
            ):
                return start + place
            start += len(span.text)
        return start


def _open_marks(text: str, *, last: bool) -> Iterator[int]:
    for match in _MARK.finditer(text):
        if match["end"] is not None:
            if last:
                yield match.start()
            continue
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        if match[0][0] in "*_~":
            if _may_open(match[0][0], before, after):
                yield match.start()
        elif not (match[0].endswith("[") and _is_no_link(text[match.end() :])):
            yield match.start()


def _may_open(mark: str, before: str, after: str) -> bool:
    """CommonMark's left-flanking run; what is not known yet could be anything."""
    if not after:
        return True
    if after.isspace():
        return False
    if mark == "_" and before.isalnum():
        return False
    return after.isalnum() or not before.isalnum()


def _is_no_link(rest: str) -> bool:
    """Whether a bracket before `rest` opens no link for certain."""
    depth = 0
    for place, character in enumerate(rest):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if depth < 0:
            following = rest[place + 1 :]
            return bool(following) and (following[0] != "(" or ")" in following)
    return False
