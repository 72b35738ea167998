"""Chats in processes of their own: killed, continued, and two at once."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_models import write_tiny_llama

DEADLINE_SECONDS = 60.0
LETTER = "Q"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "model"
    return str(write_tiny_llama(path, max_position_embeddings=100_000))


@pytest.fixture
def environment(tmp_path):
    homes = {name: str(tmp_path) for name in ("XDG_DATA_HOME", "XDG_STATE_HOME")}
    return {**os.environ, **homes, "TERM": "dumb"}


class Typed:
    """A chat whose questions come from a terminal, and whose answers go to a pipe."""

    def __init__(self, environment, *arguments):
        self.keys, line = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "llmcli", "chat", *arguments, "--logit-bias", f"{LETTER}=100"],
            stdin=line,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        os.close(line)
        self.said = ""

    def type(self, *lines):
        for line in lines:
            os.write(self.keys, f"{line}\n".encode())

    def wait_for(self, text):
        """Until the answers hold `text`; what comes up to it is done with."""
        deadline, stdout = time.monotonic() + DEADLINE_SECONDS, self.process.stdout
        while text not in self.said:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([stdout], [], [], left)[0], self.said
            self.said += os.read(stdout.fileno(), 4096).decode()
        self.said = self.said.partition(text)[2]

    def end(self, number):
        self.process.send_signal(number)
        errors = self.process.communicate(timeout=DEADLINE_SECONDS)[1].decode()
        os.close(self.keys)
        return errors


def kept(environment):
    done = subprocess.run(
        [sys.executable, "-m", "llmcli", "sessions", "--json"],
        env=environment,
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)["sessions"]


def go_on(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "llmcli", "chat", "--continue", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )


@pytest.fixture
def ended(folder, environment):
    """A chat that was ended by a signal in its second answer: what is kept of it, and its file."""

    def end(number):
        chat = Typed(environment, folder)
        chat.type("/set max_tokens 4", "Hello", "/set max_tokens default", "Tell me everything")
        chat.wait_for(f"{LETTER * 4}\n")
        chat.wait_for(LETTER * 20)
        chat.end(number)
        (session,) = kept(environment)
        assert (session["turns"], session["damage"]) == (2, None)
        return Path(session["file"])

    return end


def said(file):
    head, *messages = map(json.loads, file.read_text().splitlines())
    assert head["schema"] == "session/1"
    return [message["content"] for message in messages]


def test_a_killed_chat_goes_on_without_the_answer_in_progress(ended, environment):
    file = ended(signal.SIGKILL)
    assert said(file) == ["Hello", LETTER * 4, "Tell me everything"]
    done = go_on(environment, "-p", "Go on", "-n", "3")
    assert (done.returncode, done.stdout) == (0, f"{LETTER * 3}\n")
    assert "its last question has no answer: Tell me everything" in done.stderr
    assert said(file) == ["Hello", LETTER * 4, "Go on", LETTER * 3]


def test_a_chat_that_is_told_to_end_keeps_what_was_said(ended):
    said_then = said(ended(signal.SIGTERM))
    assert said_then[:3] == ["Hello", LETTER * 4, "Tell me everything"]
    assert set(said_then[3]) == {LETTER}
    assert len(said_then[3]) >= 20


def test_two_chats_at_once_keep_their_own(folder, environment):
    first, second = (Typed(environment, folder, "-n", "4") for _ in range(2))
    for chat in (first, second):
        chat.type("Hello")
    for chat in (first, second):
        chat.wait_for(f"{LETTER * 4}\n")
        chat.type("Again", "/exit")
    errors = [chat.end(0) for chat in (first, second)]
    names = {session["name"] for session in kept(environment)}
    assert len(names) == 2
    assert [session["turns"] for session in kept(environment)] == [2, 2]
    for name in names:
        assert sum(f"kept as {name}: " in text for text in errors) == 1


def test_a_home_that_cannot_be_written_to_is_told_once(folder, environment, tmp_path):
    (tmp_path / "llmcli").write_text("a file where the folder would be")
    chat = Typed(environment, folder, "-n", "4")
    chat.type("Hello", "Again")
    chat.wait_for(f"{LETTER * 4}\n")
    chat.wait_for(f"{LETTER * 4}\n")
    chat.type("/exit")
    errors = chat.end(0)
    assert chat.process.returncode == 0
    assert errors.count("this chat cannot be kept: ") == 1


def test_one_turn_alone_is_not_kept(folder, environment):
    done = subprocess.run(
        [sys.executable, "-m", "llmcli", "chat", folder, "-p", "Hello", "-n", "2"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert kept(environment) == []
