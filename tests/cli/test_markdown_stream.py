"""Markdown as it comes: what is printed stays, looks right, and is not kept back for long."""

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from llmcli.cli.markdown_stream import MarkdownStream

WIDTH = 40


def screen(*, colour: bool = True) -> Console:
    system = "standard" if colour else None
    return Console(
        file=io.StringIO(),
        width=WIDTH,
        force_terminal=colour,
        color_system=system,  # type: ignore[arg-type]
        highlight=False,
    )


def streamed(pieces: list[str], *, colour: bool = True) -> str:
    console = screen(colour=colour)
    stream = MarkdownStream(console)
    for piece in pieces:
        stream.write(piece)
    stream.finish()
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def look(shown: str) -> list[tuple[str, str]]:
    """Every character with its style, but for spaces, whose colour nobody sees."""
    text = Text.from_ansi(shown)
    console = screen()
    styles = (
        (character, text.get_style_at_offset(console, n)) for n, character in enumerate(text.plain)
    )
    return [(c, "" if c.isspace() else str(style)) for c, style in styles]


def plain(source: str) -> str:
    return streamed(list(source), colour=False)


MARKS = [
    *("# ", "## ", "- ", "1. ", "2) ", "  ", "    ", "> ", "\n", "\n\n", " ", "\\", "---\n"),
    *("*", "**", "_", "`", "``", "```\n", "```py\n", "~~", "~", "[", "](", ")", "!", "<", "&", ";"),
    *("a", "word ", "é", "日", "x = 1\n", "amp", "http://x", "| a | b |\n", "|---|--:|\n", "|"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(MARKS), max_size=24))
def test_the_pieces_do_not_matter(pieces: list[str]) -> None:
    text = "".join(pieces)
    whole = look(streamed([text]))
    assert look(streamed(pieces)) == whole
    assert look(streamed(list(text))) == whole


BLOCKS = """\
# Title
Text with **bold**, *slanted* and `code`,
on two lines.



- one [red]literal[/red] that is wrapped at the margin
- two
  1. [link](http://x.y), <http://x.y>
  2. ![image](a.png) ~~gone~~ &amp; \\*no\\*

> quoted and
> **bold**

```py
x = 1

if x: pass
```
| a | b |
|---|--:|
| `x` | 10 |
| yy | 2 |

---
2 * 3 * 4, snake_case, 5 < 6 [1] and an open **mark
"""
LOOKS = """\
Title
Text with bold, slanted and `code`,
on two lines.

• one [red]literal[/red] that is wrapped
  at the margin
• two
  1. link (http://x.y), http://x.y
  2. image (a.png) gone & *no*

│ quoted and
│ bold

── py ──────────────────────────────────
x = 1

if x: pass
────────────────────────────────────────
a      b
────────
`x`   10
yy     2

────────────────────────────────────────
2 * 3 * 4, snake_case, 5 < 6 [1] and an
open **mark
"""


def test_every_block_looks_like_itself() -> None:
    assert [line.rstrip() for line in plain(BLOCKS).splitlines()] == LOOKS.splitlines()


@pytest.mark.parametrize(
    ("source", "style"),
    [
        ("**a**", "bold"),
        ("*a*", "italic"),
        ("~~a~~", "strike"),
        ("`a`", "cyan"),
        ("## a", "bold"),
        ("# *a*", "bold italic underline"),
        ("```py\na\n```", ""),
        ("```py\n'a'\n```", "green"),
        ("a", ""),
    ],
)
def test_styles(source: str, style: str) -> None:
    (found,) = [shown for character, shown in look(streamed([source])) if character == "a"]
    names = {"color(2)": "green", "color(6)": "cyan"}
    assert Style.parse(names.get(found, found)) == Style.parse(style or "none")


def appeared(text: str) -> str:
    """What of a text that is not over yet stands on the screen."""
    console = screen(colour=False)
    stream = MarkdownStream(console)
    for character in text:
        stream.write(character)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The first words", "The first"),  # a word may go on
        ("The **bold", "The"),
        ("The **bold** mo", "The bold"),
        ("a * b ", "a * b"),
        ("Done.\n- a list it", "Done.\n• a list"),
        ("Done.\n-", "Done."),
        ("```\nfirst\nsec", f"{'─' * 40}\nfirst"),
        ("| a |\n|---|\n| b |\n", ""),
        ("| a |\n|---|\n\nSo it ", "a\n─\n\nSo it"),
        ("x" * 60, "x" * 60),  # longer than a line: it is known where it stands
        ("日本語", "日本"),
    ],
)
def test_text_appears_while_it_is_made(text: str, shown: str) -> None:
    assert re.sub(" +$", "", appeared(text), flags=re.MULTILINE) == shown


def test_long_words_and_wide_characters_end_at_the_margin() -> None:
    lines = plain("日" * 30 + " and " + "words " * 12).splitlines()
    assert [cell_len(line) <= WIDTH for line in lines] == [True] * len(lines)
    assert lines[0] == "日" * 20
    assert lines[1].startswith("日" * 10 + " and words")
