"""The page of performance: its blocks are there, and what is written by hand survives."""

import pytest

from benchmarks.__main__ import SHAPES, block_name
from benchmarks.page import PAGE, markers, table, with_block
from benchmarks.place import Place

BLOCKS = [
    *(block_name(shape, Place(device, 1)) for shape in SHAPES for device in ("cpu", "cuda")),
    "start",
    "busy",
    "step",
    "mask",
]


@pytest.mark.parametrize("name", BLOCKS)
def test_the_page_has_every_block_once(name: str) -> None:
    page = PAGE.read_text()
    begin, end = markers(name)
    before, after = page[: page.index(begin)], page[page.index(end) :]
    assert with_block(page, name, "new") == f"{before}{begin}\nnew\n{after}"


@pytest.mark.parametrize("page", ["", "{begin}", "{end}{begin}", "{begin}{end}{begin}{end}"])
def test_a_page_without_exactly_one_block_is_refused(page: str) -> None:
    begin, end = markers("start")
    with pytest.raises(ValueError, match="each once"):
        with_block(page.format(begin=begin, end=end), "start", "new")


def test_table() -> None:
    assert table([["a", "b"], ["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"
