"""Tables and lines that fit: columns go before text is cut, and a pipe loses nothing."""

import io
import tracemalloc

import pytest
from rich.console import Console

from llmcli.cli.table import FittedTable, Joined, Lazy, cell, size

ROWS = [("name", "count", "note"), ("first", "1,000", "x"), ("二つ", "7", "")]


def shown(renderable: object, width: int, *, pipe: bool = False) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=not pipe, soft_wrap=pipe, no_color=True)
    console.print(renderable, style=None)
    return out.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (23_040, "22.5 KiB"),
        (269_030_016, "256.6 MiB"),
        (16_060_522_496, "15.0 GiB"),
        (5 * 1024**5, "5,120.0 TiB"),
    ],
)
def test_sizes_carry_their_unit(n_bytes, text):
    assert size(n_bytes) == text


def test_a_cell_is_one_safe_line():
    assert cell("a\nb\tc\x1b[2J") == r"a\nb\tc\x1b[2J"


def test_columns_line_up_by_what_a_terminal_shows():
    table = FittedTable([ROWS, [row[:2] for row in ROWS]], right=(1,))
    assert shown(table, 80) == ["name   count  note", "first  1,000  x", "二つ       7"]


def test_a_narrow_terminal_gets_fewer_columns():
    table = FittedTable([ROWS, [row[:2] for row in ROWS]], right=(1,))
    assert shown(table, 14) == ["name   count", "first  1,000", "二つ       7"]


def test_columns_that_are_left_out_are_named_where_there_is_more_to_see():
    narrow = [(*row[:1], "", "") for row in ROWS]
    table = FittedTable([ROWS, narrow], right=(1,), all_in="a wall")
    assert list(table.lines(14))[-1] == ("left out: count, note · a wall has all columns", "dim")
    for width in (80, None):
        assert [style for _, style in table.lines(width)] == ["bold", "", ""]


def test_where_nothing_fits_names_have_a_line_to_themselves():
    table = FittedTable([[("name", "n"), ("a" * 12, "12")]], right=(1,))
    assert shown(table, 14) == ["name", "     n", "a" * 12, "    12"]


def test_a_pipe_gets_everything_on_one_line():
    table = FittedTable([[("name", "n"), ("a" * 99, "12")]], right=(1,))
    assert shown(table, 14, pipe=True)[1] == f"{'a' * 99}  12"
    assert shown(Joined(["a" * 10, "b" * 10]), 14, pipe=True) == [f"{'a' * 10} · {'b' * 10}"]


def test_facts_are_broken_only_between_two():
    assert shown(Joined(["one fact", "two", "three"]), 14) == ["one fact · two", "three"]


def test_a_pipe_holds_one_row_of_a_long_table_at_a_time():
    def rows():
        yield ("name", "count")
        yield from ((f"row {number} of a long table", f"{number:,}") for number in range(20_000))

    def narrower():
        raise AssertionError("a pipe needs none that is narrower")

    def tables():
        yield Lazy(rows)
        yield narrower()

    tracemalloc.start()
    try:
        count = sum(1 for _ in FittedTable(Lazy(tables), right=(1,)).lines(None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_001
    assert peak < 100_000  # all of them take some 4,000,000 bytes
