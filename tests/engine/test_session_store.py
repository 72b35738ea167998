"""The folder of sessions: whole files or none, each writer's own, no name that leaves it."""

import fcntl
import itertools
import multiprocessing
import os
import random
import stat
import time
from pathlib import Path

import pytest

from llmcli.engine import session_store
from llmcli.engine.saved_session import KeptMessage, SavedSession
from llmcli.engine.session_store import SessionStore
from llmcli.errors import LlmcliError, UsageError


def session(*texts: str) -> bytes:
    roles = ("user", "assistant")
    messages = (
        KeptMessage({"role": roles[at % 2], "content": text}, {}) for at, text in enumerate(texts)
    )
    return SavedSession("demo", "t", {}, (), tuple(messages)).to_bytes()


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "data" / "sessions")


def said(store: SessionStore, name: str) -> list[str]:
    return [kept.message["content"] for kept in store.read(name).session.messages]


def files(store: SessionStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_a_session_is_written_anew_over_its_own_file(store: SessionStore) -> None:
    name, stamp = store.write("work", session("a", "b"), None)
    assert name == "work"
    assert store.read("work").stamp == stamp
    assert store.write("work", session("a", "b", "c", "d"), stamp)[0] == "work"
    assert said(store, "work") == ["a", "b", "c", "d"]
    assert files(store) == ["work.jsonl"]
    assert stat.S_IMODE(store.path("work").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_a_file_that_another_wrote_is_left_to_it(store: SessionStore) -> None:
    _, first = store.write("work", session("a", "b"), None)
    _, second = store.write("work", session("a", "b", "theirs", "x"), first)
    name, mine = store.write("work", session("a", "b", "mine", "y"), first)
    assert name == "work-2"
    assert store.write("work-2", session("a", "b", "mine", "z"), mine)[0] == "work-2"
    assert said(store, "work")[2:] == ["theirs", "x"]
    assert said(store, "work-2")[2:] == ["mine", "z"]
    assert store.read("work").stamp == second


def test_a_session_that_was_removed_is_there_again_when_its_chat_goes_on(
    store: SessionStore,
) -> None:
    _, stamp = store.write("work", session("a", "b"), None)
    store.cache_path("work").write_bytes(b"x")
    store.remove("work")
    assert files(store) == []
    assert store.write("work", session("a", "b"), stamp)[0] == "work"


def keep_talking(folder: Path, mark: str) -> None:
    store, name, stamp = SessionStore(folder), "chat", None
    for turn in range(20):
        name, stamp = store.write(name, session(*[mark] * 2 * (turn + 1)), stamp)


def test_processes_that_write_at_once_lose_nothing(store: SessionStore) -> None:
    context = multiprocessing.get_context("fork")
    marks = ["a", "b", "c", "d"]
    processes = [context.Process(target=keep_talking, args=(store.folder, mark)) for mark in marks]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(store.names()) == ["chat", "chat-2", "chat-3", "chat-4"]
    assert sorted(said(store, name)[0] for name in store.names()) == marks
    assert all(len(set(said(store, name))) == 1 for name in store.names())
    assert all(len(said(store, name)) == 40 for name in store.names())


def write_for_ever(folder: Path) -> None:
    store, name, stamp = SessionStore(folder), "chat", None
    for turn in itertools.count(1):
        name, stamp = store.write(name, session(*["word " * 500] * 2 * turn), stamp)


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(store: SessionStore) -> None:
    context, moments = multiprocessing.get_context("fork"), random.Random(0)
    for number in range(1, 9):
        process = context.Process(target=write_for_ever, args=(store.folder,))
        process.start()
        written = store.path("chat" if number == 1 else f"chat-{number}")
        while not written.exists():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
    assert len(store.names()) == 8
    assert [store.read(name).damage for name in store.names()] == [None] * 8
    assert all(len(said(store, name)) >= 2 for name in store.names())


def test_a_full_disk_leaves_the_old_file(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stamp = store.write("work", session("a", "b"), None)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.write("work", session("a", "b", "c", "d"), stamp)
    assert said(store, "work") == ["a", "b"]
    assert files(store) == ["work.jsonl"]


def test_whoever_stays_in_the_folder_is_not_waited_for_for_ever(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("work", session("a", "b"), None)
    monkeypatch.setattr(session_store, "LOCK_SECONDS", 0.05)
    other = os.open(store.folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(BlockingIOError):
            store.write("other", session("a", "b"), None)
    finally:
        os.close(other)
    assert store.write("other", session("a", "b"), None)[0] == "other"


def test_what_killed_processes_left_goes_in_time(store: SessionStore) -> None:
    store.write("work", session("a", "b"), None)
    old, young = (store.folder / f"work.jsonl.{word}.partial" for word in ("old", "young"))
    old.write_bytes(b"")
    young.write_bytes(b"")
    os.utime(old, (0, 0))
    store.write("work", session("c", "d"), store.read("work").stamp)
    assert (old.exists(), young.exists()) == (False, True)
    assert store.names() == ["work"]


def test_the_last_written_comes_first(store: SessionStore) -> None:
    for at, name in enumerate(("old", "new", "middle")):
        store.write(name, session("a", "b"), None)
        os.utime(store.path(name), (0, (5, 9, 7)[at]))
    assert store.names() == ["new", "middle", "old"]
    assert SessionStore(store.folder / "nowhere").names() == []


NO_NAMES = ["", ".", "..", "../up", "a/b", "/etc/passwd", "a\\b", "-rf", ".hidden", "x" * 65]
NO_NAMES += ["a\0b", "a\nb", "a b", "a:b", "\x1b[2J"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_is_one_plain_component(store: SessionStore, name: str) -> None:
    for act in (store.path, store.cache_path, store.read, store.remove):
        with pytest.raises(UsageError, match="cannot be the name of a session"):
            act(name)
    with pytest.raises(UsageError):
        store.write(name, b"", None)


def test_what_is_not_a_session_file(store: SessionStore, tmp_path: Path) -> None:
    store.write("work", session("a", "b"), None)
    with pytest.raises(UsageError, match=r"there is no session wrok; did you mean work\?"):
        store.read("wrok")
    os.mkfifo(store.path("pipe"))
    store.path("folder").mkdir()
    store.path("loop").symlink_to(store.path("loop"))
    for name in ("pipe", "folder", "loop"):
        with pytest.raises(LlmcliError):
            store.read(name)
        with pytest.raises(LlmcliError):
            store.remove(name)
    assert store.names() == ["work"]


def test_a_file_that_is_too_large_is_not_read(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("work", session("a" * 100, "b"), None)
    monkeypatch.setattr(session_store, "MAX_BYTES", 100)
    with pytest.raises(LlmcliError, match="larger than 100 bytes"):
        store.read("work")


def test_a_damaged_file_is_set_aside_under_another_name(store: SessionStore) -> None:
    store.write("work", b"not a session\n", None)
    assert store.read("work").damage == "line 1 is damaged (not valid JSON)"
    aside = store.set_aside("work")
    assert aside.name.startswith("work.corrupt-")
    assert aside.read_bytes() == b"not a session\n"
    assert store.names() == []
