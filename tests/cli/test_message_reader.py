"""What is typed at the prompt of a chat: blocks, plain lines, the history file."""

import io
import sys
from types import SimpleNamespace

import pytest

from llmcli.cli import message_reader
from llmcli.cli.message_reader import InputFlags, LineReader, in_open_block, unwrapped
from llmcli.cli.output import Output


@pytest.mark.parametrize(
    ("text", "is_open", "message"),
    [
        ("Hello ", False, "Hello"),
        ("", False, ""),
        ('say """x""" twice', False, 'say """x""" twice'),
        ('"""', True, None),
        ('""""', True, None),
        ('"""\none', True, None),
        ('"""\none\n', True, None),
        ('""""""', False, ""),
        ('"""one"""', False, "one"),
        ('"""\n  one\n\ntwo \n"""', False, "  one\n\ntwo "),
        ('  """one\n"""  ', False, "one"),
    ],
)
def test_blocks(text, is_open, message):
    assert in_open_block(text) is is_open
    if message is not None:
        assert unwrapped(text) == message


def test_line_by_line_where_the_terminal_cannot_more(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO('Hello\n\n"""\none\n\ntwo\n"""\nlast'))
    monkeypatch.setenv("TERM", "dumb")
    turns = SimpleNamespace(output=Output(stderr=screen))
    reader = message_reader.message_reader(turns, InputFlags(no_history=True))
    assert isinstance(reader, LineReader)
    assert [reader.read() for _ in range(5)] == ["Hello", "", "one\n\ntwo", "last", None]
    assert screen.getvalue().startswith("> > > ")


def test_a_block_that_never_closes_ends_with_the_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO('"""\none\n'))
    assert LineReader(Output(stderr=io.StringIO())).read() == '"""\none'


def test_the_history_is_readable_by_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    history = message_reader._history()
    history.append_string("a secret question")
    file = tmp_path / "state" / "llmcli" / "history"
    assert "a secret question" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.chmod(0o644)  # an older version, or a restored copy
    assert list(message_reader._history().load_history_strings()) == ["a secret question"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_a_place_to_write_history_is_kept_in_memory(tmp_path, monkeypatch):
    (tmp_path / "state").write_text("not a folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    history = message_reader._history()
    history.append_string("question")
    assert history.get_strings() == ["question"]


def test_a_disk_that_fills_up_costs_only_the_history(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    history = message_reader._history()
    history.filename = str(tmp_path)  # a folder: writing fails
    history.append_string("question")
    assert history.get_strings() == ["question"]
