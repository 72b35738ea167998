"""What is told on stderr: whole words on a terminal, one line anywhere else."""

import io

import pytest

from llmcli.cli.output import Output


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setenv("TERM", "xterm")


def test_long_lines_break_between_words_on_a_terminal():
    output = Output(stderr=Screen())
    output.error("the name must end in .md\n    ^", "choose another name for it")
    lines = output.stderr.getvalue().splitlines()
    assert [line.rstrip() for line in lines] == [
        "error: the name must end",
        "in .md",
        "    ^",
        "hint: choose another",
        "name for it",
    ]


def test_elsewhere_a_line_is_a_line():
    output = Output(stderr=io.StringIO())
    output.notice("a word and " * 10 + "\x1b[2J")
    assert output.stderr.getvalue() == "a word and " * 10 + "\\x1b[2J\n"
