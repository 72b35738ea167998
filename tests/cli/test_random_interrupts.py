"""Ctrl+C at random moments, and signals: the chat stays usable, or ends in order."""

import random
import signal
import time

import pytest
from terminal import CTRL_C, ENTER, PASTE, PASTE_END, PROMPT, Terminal
from tiny_models import write_tiny_llama

SEED, MOMENTS = 20, 100
LETTER = "Q"  # every token of every answer
LONG = "word " * 800  # its prefill takes a while
SPREAD_SECONDS = 0.06


@pytest.fixture
def chat(tmp_path):
    """Its sessions are kept in `tmp_path`."""
    folder = write_tiny_llama(tmp_path / "model", max_position_embeddings=100_000)
    bias = ("--logit-bias", f"{LETTER}=100")
    kept = {name: str(tmp_path) for name in ("XDG_STATE_HOME", "XDG_DATA_HOME")}
    terminal = Terminal(["chat", str(folder), *bias], **kept)
    terminal.wait_for(PROMPT)
    yield terminal
    terminal.close()


def press_at_a_moment(chat, choice: random.Random, number: int) -> tuple[str, str]:
    """Ctrl+C somewhere; where, and what must be true of turn `number` afterwards."""
    where = choice.choice(["typing", "prefill", "decode", "between"])
    delay = choice.uniform(0, SPREAD_SECONDS)
    question = f"q{number}"
    if where == "typing":
        chat.press(f"t{number}")
        time.sleep(delay)
        chat.press(CTRL_C)
        return where, "nothing"
    if where == "decode":
        chat.press(question + ENTER)
        chat.wait_for(LETTER * 3)
        time.sleep(delay)
        chat.press(CTRL_C)
        return where, "kept"
    # A short answer may be over, and the next prompt there, when the key is pressed.
    text = question if where == "between" else f"{PASTE}{question} {LONG}{PASTE_END}"
    chat.press(text + ENTER)
    time.sleep(delay)
    chat.press(CTRL_C)
    return where, "either"


def test_a_hundred_moments(chat):
    choice = random.Random(SEED)
    seen: set[tuple[str, bool]] = set()
    for number in range(MOMENTS):
        if number == MOMENTS // 2:  # until then answers have no end
            chat.enter("/set max_tokens 3")
        where, expected = press_at_a_moment(chat, choice, number)
        # The chat answers again, and knows of the turn what was shown of it.
        chat.press(f"/undo{ENTER}")
        found = chat.wait_for(r"taken back: (q\d+)|there is no question yet")
        assert found[1] in (f"q{number}", None)
        assert expected != "kept" or found[1] == f"q{number}"
        assert expected != "nothing" or found[1] is None
        seen.add((where, found[1] is not None))
        chat.wait_for(PROMPT)
    # Both outcomes came: before the first word, and after it.
    assert {("between", True), ("prefill", False), ("decode", True), ("typing", False)} <= seen
    assert chat.leave() == 0


@pytest.mark.parametrize("answering", [False, True])
def test_twice_at_once_leaves(chat, answering):
    if answering:
        chat.press("Hello" + ENTER)
        chat.wait_for(LETTER * 3)
    chat.press(CTRL_C)
    time.sleep(0.1)  # two signals at the same time are one
    assert chat.leave(CTRL_C) == 130


@pytest.mark.parametrize("answering", [False, True])
def test_a_signal_ends_it_in_order(chat, answering, tmp_path):
    if answering:
        chat.press("Hello" + ENTER)
        chat.wait_for(LETTER * 3)
    chat.process.send_signal(signal.SIGTERM)
    assert chat.leave("") == 128 + signal.SIGTERM  # and the terminal is as it was before
    sessions = [file.read_text() for file in tmp_path.glob("llmcli/sessions/*")]
    assert len(sessions) == answering
    assert all(LETTER * 3 in session for session in sessions)


def test_a_terminal_that_goes_away_ends_it(chat):
    chat.process.send_signal(signal.SIGHUP)
    assert chat.leave("") == 128 + signal.SIGHUP
