"""Markdown as it comes: what is printed stays, looks right, and is not kept back for long."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
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
