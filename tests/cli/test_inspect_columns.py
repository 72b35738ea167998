"""Columns that a narrow terminal has no room for are named; every other form has all of them."""

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import LAUNCH, Terminal

from llmcli.cli.app import run

COLUMNS = ["tensor", "shape", "dtype", "concept", "parameters", "bytes"]
LEFT_OUT = "left out: {} · a wider terminal, or -o csv, has all columns"
STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Narrow(Terminal):
    """A command on a terminal of so many columns, up to its end."""

    def __init__(self, columns: int, arguments: list[str], **environment: str) -> None:
        plain = {name: os.environ[name] for name in os.environ if name != "COLUMNS"}
        self.begin(LAUNCH, arguments, {**plain, "TERM": "xterm", **environment}, columns=columns)


@pytest.fixture
def shown() -> Callable[..., str]:
    """What `inspect demo` shows, up to the pattern of its last line."""

    def show(*options: str, columns: int = 80, last: str, **environment: str) -> str:
        terminal = Narrow(columns, ["inspect", "demo", *options], **environment)
        try:
            match = terminal.wait_for(rf"{last}\S*\r\n")
        finally:
            terminal.close()
        return match.string.replace("\r\n", "\n")

    return show


@pytest.mark.parametrize(
    ("environment", "dim"),
    [({}, True), ({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)],
    ids=["plain", "NO_COLOR", "dumb"],
)
def test_80_columns_name_what_they_have_no_room_for(
    shown: Callable[..., str], environment: dict[str, str], dim: bool
) -> None:
    out = shown(last="2 B", **environment)
    told = LEFT_OUT.format("dtype")
    assert (f"\n\x1b[2m{told}\x1b[0m\n" if dim else f"\n{told}\n") in out
    lines = STYLE.sub("", out).split("\n")
    assert lines[lines.index(told) - 1].startswith("lm_head.weight")  # it ends the table
    assert next(line for line in lines if line.startswith("tensor")).split() == [
        name for name in COLUMNS if name != "dtype"
    ]
    assert max(map(len, lines)) <= 80
    if environment.get("TERM") == "dumb":
        assert "\x1b" not in out


@pytest.mark.parametrize(
    ("options", "columns", "missing"),
    [
        ([], 85, None),
        ([], 80, "dtype"),
        (["--full"], 80, "dtype"),
        (["--tree"], 80, "stored"),
        (["--tree"], 69, "stored, concept"),
        (["--params"], 60, None),  # bars alone go, which repeat the shares
    ],
)
def test_what_is_left_out_is_what_is_named(
    shown: Callable[..., str], options: list[str], columns: int, missing: str | None
) -> None:
    last = {"--tree": r"cache\.", "--params": r"\(BF16\)"}.get("".join(options), "2 B")
    out = STYLE.sub("", shown(*options, columns=columns, last=last))
    told = re.findall(r"^left out: .*?\n(?=\n)", out, re.DOTALL | re.MULTILINE)
    told = [" ".join(each.split()) for each in told]
    assert told == ([] if missing is None else [LEFT_OUT.format(missing)])


def test_every_other_form_has_all_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    files = tmp_path / "a.html", tmp_path / "a.svg"
    texts = []
    for options in ([], ["-o", "md"], ["--html", str(files[0]), "--svg", str(files[1]), "--full"]):
        assert run(["inspect", "demo", *options]) == 0
        texts.append(capsys.readouterr().out)
    texts += [file.read_text(encoding="utf-8") for file in files]
    for text in texts:
        assert re.search(r"\W+".join(COLUMNS), re.sub(r"</?t[hdr][^>]*>", " ", text))
        assert re.search(r"mlp\.down_proj\.weight.*192×448.*BF16.*W_down.*168\.0 KiB", text)
        assert "left out" not in text


def test_csv_has_every_column_that_a_table_has(capsys: pytest.CaptureFixture[str]) -> None:
    for options, columns in (
        ([], {"name", *COLUMNS[1:], "file"}),
        (["--tree"], {"module", "parameters", "shapes", "concept"}),
        (["--by", "dtype"], {"dtype", "tensors", "parameters", "bytes", "share"}),
        (["--params"], {"component", "formula", "parameters", "share"}),
    ):
        assert run(["inspect", "demo", *options, "-o", "csv"]) == 0
        rows = list(csv.reader(capsys.readouterr().out.splitlines()))
        assert columns <= set(rows[0])
        assert {len(row) for row in rows} == {len(rows[0])}
