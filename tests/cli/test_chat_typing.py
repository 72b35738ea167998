"""The line editor of a chat, key by key: completion, history, suggestions, an editor, vi's keys."""

import shlex
import sys

import pytest
from terminal import ENTER, PROMPT, Terminal
from tiny_models import write_tiny_llama

TAB, UP, RIGHT, ESCAPE, CTRL_R = "\t", "\x1b[A", "\x1b[C", "\x1b", "\x12"
EDIT = "\x18\x05"  # Ctrl+X Ctrl+E


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture
def start(folder, tmp_path):
    opened = []

    def call(*arguments, **environment):
        chat = Terminal(
            ["chat", folder, "--max-tokens", "1", *arguments],
            XDG_STATE_HOME=str(tmp_path),
            **environment,
        )
        opened.append(chat)
        chat.wait_for(PROMPT)
        return chat

    yield call
    for each in opened:
        each.close()


def asked(chat):
    """The last question; it is taken back."""
    return chat.enter("/undo", r"taken back: ([^\r]*)").group(1)


def test_completion_history_and_an_editor(start, tmp_path):
    write = "import sys; open(sys.argv[1], 'a').write(' from the editor')"
    editor = f"{shlex.quote(sys.executable)} -c {shlex.quote(write)}"
    chat = start(VISUAL=editor)
    chat.press("/und")
    chat.wait_for("take back the last question")  # the command's help, as one types
    chat.press(TAB + ENTER)
    chat.wait_for("no question yet")
    chat.wait_for(PROMPT)
    chat.press("/set max_to")
    chat.wait_for(r"1 \(flag\)")
    chat.press(TAB + "2" + ENTER)
    chat.wait_for(PROMPT)
    chat.enter("/set", r"max_tokens +2 +/set")

    chat.enter("which question")
    assert asked(chat) == "which question"
    chat.press("edited")
    chat.wait_for("edited")
    chat.press(EDIT)
    chat.wait_for("from the editor")
    chat.press(ENTER)
    chat.wait_for(PROMPT)
    assert asked(chat) == "edited from the editor"
    assert chat.leave() == 0

    chat = start()
    chat.press("whi")
    chat.wait_for("ch question")  # what was typed in the other session is suggested
    chat.press(RIGHT + ENTER)
    chat.wait_for(PROMPT)
    assert asked(chat) == "which question"
    chat.press(CTRL_R + "The EDITOR")  # in whatever case
    chat.wait_for("edited from ")
    chat.press(ENTER + ENTER)
    chat.wait_for(PROMPT)
    assert asked(chat) == "edited from the editor"
    chat.press(UP + UP)  # before /undo
    chat.wait_for("edited from the editor")
    chat.press(ENTER)
    chat.wait_for(PROMPT)
    assert asked(chat) == "edited from the editor"
    assert chat.leave() == 0


@pytest.mark.parametrize("how", [{"LLMCLI_VI": "1"}, {}])
def test_the_keys_of_vi(start, how):
    chat = start(*([] if how else ["--vi"]), LLMCLI_NO_HISTORY="1", **how)
    chat.press("xone two")
    chat.wait_for("two")
    chat.press(ESCAPE)
    chat.press("0xA")  # in command mode: to the beginning, delete a character, go on at the end
    chat.press(" three" + ENTER)
    chat.wait_for(PROMPT)
    assert asked(chat) == "one two three"
    chat.press("sent")
    chat.wait_for("sent")
    chat.press(ESCAPE + ENTER)  # from command mode; not Alt+Enter, which begins a line elsewhere
    chat.wait_for(PROMPT)
    assert asked(chat) == "sent"
    assert chat.leave() == 0


def test_colours_among_what_is_typed_are_left_out(start):
    chat = start(LLMCLI_NO_HISTORY="1")
    chat.press("a \x1b[31mred\x1b[0m \x1b[1;31mone")
    chat.wait_for("one")
    chat.press(ENTER)
    chat.wait_for(PROMPT)
    assert asked(chat) == "a red one"
    assert chat.leave() == 0
