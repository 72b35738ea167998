"""`llmcli sessions`: what is kept, what is wrong with it, and an end to it."""

import io
import json
import os

import pytest

from llmcli.cli.app import run
from llmcli.cli.user_folders import sessions_folder
from llmcli.engine.saved_session import KeptMessage, SavedSession
from llmcli.engine.session_store import SessionStore


@pytest.fixture
def store(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return SessionStore(sessions_folder())


@pytest.fixture
def sessions(capsys):
    def call(*arguments, code=0):
        assert run(["sessions", *arguments]) == code
        return capsys.readouterr()

    return call


def keep(store, name, *texts, model="demo", at=0):
    messages = tuple(
        KeptMessage({"role": ("user", "assistant")[place % 2], "content": text}, {})
        for place, text in enumerate(texts)
    )
    session = SavedSession(model, "2026-01-31T12:00:00+01:00", {}, (), messages)
    store.write(name, session.to_bytes(), None)
    os.utime(store.path(name), (at, at))


def test_without_sessions_it_says_how_to_get_one(sessions, store):
    assert sessions().out == "no sessions yet: `llmcli chat` keeps each chat as it goes\n"
    assert json.loads(sessions("--json").out)["sessions"] == []


def test_the_last_one_comes_first(sessions, store):
    keep(store, "old", "What is\na token?", "A piece.", at=1)
    keep(store, "new", "Hello", "Hi", "And?", "So.", model="org/name", at=2)
    lines = sessions().out.splitlines()
    assert lines[0].split() == ["session", "last", "written", "model", "turns", "first", "question"]
    assert lines[1].split()[0] == "new"
    assert lines[1].split()[3:] == ["org/name", "2", "Hello"]
    assert lines[2].endswith("demo          1  What is a token?")


def test_json_has_it_all(sessions, store):
    keep(store, "work", "Hello\x1b[2J", "Hi", at=1)
    store.cache_path("work").write_bytes(b"12345")
    report = json.loads(sessions("--json").out)
    assert (report["schema"], report["folder"]) == ("sessions/1", str(store.folder))
    (entry,) = report["sessions"]
    assert entry.pop("written").startswith("1970-01-01T")
    assert entry == {
        "name": "work",
        "created": "2026-01-31T12:00:00+01:00",
        "model": "demo",
        "turns": 1,
        "first_question": "Hello\x1b[2J",
        "file": str(store.path("work")),
        "file_bytes": store.path("work").stat().st_size,
        "kv_bytes": 5,
        "damage": None,
    }


def test_what_strangers_wrote_is_shown_escaped_on_one_line(sessions, store):
    keep(store, "work", "\x1b]52;c;x\x07 \u202e\nred", "x", model="m\x1b[31m")
    out = sessions().out
    assert "\x1b" not in out and "\u202e" not in out
    assert len(out.splitlines()) == 2


def test_a_damaged_one_is_listed_with_what_is_wrong_and_left_alone(sessions, store):
    keep(store, "cut", "Hello", "Hi", at=2)
    data = store.path("cut").read_bytes()
    store.path("cut").write_bytes(data[:-5])
    store.write("newer", b'{"schema": "session/9"}\n', None)
    out = sessions().out
    assert "cut: line 3 is cut (not valid JSON)\n" in out
    assert "newer: " in out and "a newer llmcli wrote it" in out
    assert store.path("cut").read_bytes() == data[:-5]


def test_removing(sessions, store):
    for name in ("one", "two", "three"):
        keep(store, name, "Hello", "Hi")
    store.cache_path("one").write_bytes(b"x")
    assert sessions("rm", "one", "two").err == "removed: one\nremoved: two\n"
    assert [path.name for path in store.folder.iterdir()] == ["three.jsonl"]
    error = sessions("rm", "tree", code=2).err
    assert error.startswith("error: there is no session tree; did you mean three?\nhint: ")
    assert sessions("rm", "../three", code=2).err.startswith("error: '../three' cannot be the name")
    assert sessions("rm", code=2).err.startswith("error: Missing argument")
    assert store.names() == ["three"]


@pytest.mark.parametrize(("columns", "shown"), [(120, 70), (80, 35), (64, 20)])
def test_the_question_is_cut_to_the_width(store, columns, shown):
    from rich.console import Console

    from llmcli.cli.sessions import report_of, table_of

    keep(store, "work", "q" * 200, "a", at=1)
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(table_of(report_of(store)))
    assert "q" * (shown - 1) + "…" in console.export_text()
