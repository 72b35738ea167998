"""A page in every form: what a form would read as markup is escaped, and nothing is fetched."""

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from llmcli.cli.page import Grid, Notes, Page, bar, comma_separated, markdown, text
from llmcli.cli.page_files import html, svg, write
from llmcli.errors import LlmcliError

EVIL = "<script>alert(1)</script>\"'&|`*[x](y)"
PAGE = Page(
    facts=[f"{EVIL}: llama", "two"],
    parts=[
        Grid(
            [[("name", "n", ""), ("heading", "12", ""), (f"  {EVIL}", "3", bar(0.5))]],
            (1,),
            frozenset({"heading"}),
        ),
        Grid([[("drawing", "shape"), ("│ <b>", "(T)")]], (), drawing=True),
        Notes([f"a note on {EVIL}"]),
    ],
    data=[("name", "n"), (EVIL, 3), ("a,b", None)],
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.attributes: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_text_has_everything_once() -> None:
    out = io.StringIO()
    Console(file=out, width=200, soft_wrap=True, markup=False, highlight=False).print(text(PAGE))
    lines = out.getvalue().splitlines()
    assert lines[0] == f"{EVIL}: llama · two"
    assert f"  {EVIL}" in lines[4]
    assert lines[4].endswith("3  █████")
    assert lines[-1] == f"a note on {EVIL}"


def test_markdown_is_a_table_and_a_fenced_drawing() -> None:
    lines = list(markdown(PAGE))
    assert "| :-- | --: | :-- |" in lines
    assert "| **heading** | **12** |  |" in lines
    row = next(line for line in lines if line.startswith("| &nbsp;&nbsp;"))
    assert r"\<script\>" in row
    assert r"\|" in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert lines[lines.index("```text") + 2] == "│ <b>    (T)"


def test_csv_is_read_back() -> None:
    assert list(csv.reader(comma_separated(PAGE))) == [
        ["name", "n"],
        [EVIL, "3"],
        ["a,b", ""],
    ]


def test_html_stands_alone_and_runs_nothing() -> None:
    page = html(PAGE)
    parser = Tags()
    parser.feed(page)
    assert not {"script", "b", "img", "link", "iframe", "a"} & set(parser.tags)
    assert {"table", "pre", "h1", "td"} <= set(parser.tags)
    assert "".join(parser.words).count(EVIL) == 4  # title, headline, row, note
    assert not {"src", "href"} & parser.attributes.keys()
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "url(" not in page


def test_svg_is_xml_that_fetches_nothing() -> None:
    drawn = svg(PAGE)
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    lines = [line.text or "" for line in root.iter(f"{space}text")]
    assert lines[0] == f"{EVIL}: llama · two"
    assert any("│ <b>" in line for line in lines)
    assert not any(child.tag in (f"{space}script", f"{space}image") for child in root.iter())
    assert "http" not in drawn.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "prefers-color-scheme: dark" in drawn


def test_svg_is_as_wide_as_the_fullest_table() -> None:
    rows = [("name", "what", "note"), ("n" * 60, "w" * 60, "the last")]
    drawn = svg(Page(["a"], [Grid([rows, [row[:1] for row in rows]], ())], []))
    assert "the last" in drawn and "left out" not in drawn
    width = float(ElementTree.fromstring(drawn).attrib["width"])
    assert width > (60 + 60 + 8) * 8


def test_characters_that_xml_has_no_place_for_are_escaped_before() -> None:
    from llmcli.cli.table import cell

    page = Page([cell("a\x00b\x1b[2J\ud800\ufffe")], [], [])
    ElementTree.fromstring(svg(page))


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(LlmcliError, match=r"x\.html cannot be written: No such file"):
        write(tmp_path / "nowhere" / "x.html", "x")
