"""Reads what the user types at the prompt of a chat: one message, perhaps of many lines.

It knows keys, blocks and the history file, and nothing of what a message means.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from llmcli.cli.output import Output

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings

PROMPT = "> "
CONTINUED = "  "
BLOCK = '"""'


class Reader(Protocol):
    can_prefill: bool

    def read(self, text: str = "") -> str | None:
        """The next message; None at the end of input. Raises KeyboardInterrupt on Ctrl+C. `text`
        stands there to be changed, where the terminal `can_prefill` it."""


def message_reader(output: Output, *, keep_history: bool) -> Reader:
    """With line editing and history where the terminal can, else line by line."""
    screen = output.stderr if output.stderr.isatty() else output.stdout
    if os.environ.get("TERM") in (None, "", "dumb") or not screen.isatty():
        return LineReader(output)
    return EditingReader(screen.fileno(), keep_history=keep_history)


def in_open_block(text: str) -> bool:
    """Whether a block has been opened and not closed, so that Enter does not end the message."""
    text = text.strip()
    return text.startswith(BLOCK) and not (text.endswith(BLOCK) and len(text) >= 2 * len(BLOCK))


def unwrapped(text: str) -> str:
    """The message itself, without the marks of a block. Only a block keeps its line breaks and
    spaces at both ends."""
    stripped = text.strip()
    if stripped.startswith(BLOCK) and not in_open_block(text):
        return stripped[len(BLOCK) : -len(BLOCK)].strip("\n")
    return stripped


class LineReader:
    """For terminals that cannot move the cursor: the terminal itself edits each line."""

    can_prefill = False

    def __init__(self, output: Output) -> None:
        self._stderr = output.stderr

    def read(self, text: str = "") -> str | None:
        text = self._line(PROMPT)
        while text and in_open_block(text):
            more = self._line(CONTINUED)
            if not more:
                break
            text += more
        return unwrapped(text) if text else None

    def _line(self, prompt: str) -> str:
        line = ""
        self._stderr.write(prompt)
        self._stderr.flush()
        try:
            line = sys.stdin.readline()
        finally:
            if not line.endswith("\n"):  # Ctrl+C and Ctrl+D leave the cursor where it was
                self._stderr.write("\n")
        return line


class EditingReader:
    """prompt_toolkit: line editing, history, several lines; what is pasted never submits."""

    can_prefill = True

    def __init__(self, screen: int, *, keep_history: bool) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import create_output

        from llmcli.cli.keyboard import Keyboard

        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            input=Keyboard(sys.stdin),
            output=create_output(os.fdopen(screen, "w", closefd=False)),
            history=_history() if keep_history else None,
            key_bindings=_keys(),
            multiline=True,
            prompt_continuation=CONTINUED,
            enable_open_in_editor=True,
            reserve_space_for_menu=0,
        )

    def read(self, text: str = "") -> str | None:
        try:
            return unwrapped(self._session.prompt(default=text))
        except EOFError:
            return None


def _keys() -> "KeyBindings":
    """Enter submits, but not in an open block; Alt+Enter and Ctrl+J begin a new line."""
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        if in_open_block(event.current_buffer.text):
            event.current_buffer.insert_text("\n")
        else:
            event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing)
    @keys.add("c-j", filter=typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def history_file() -> Path:
    """Where the prompts of all chats are kept."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if Path(state).is_absolute() else Path("~/.local/state").expanduser()
    return folder / "llmcli" / "history"


def _history() -> "History":
    """On disk, readable by the user alone; in memory where the disk does not take it."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class PrivateHistory(FileHistory):
        def store_string(self, string: str) -> None:
            with contextlib.suppress(OSError):  # a full disk costs the history, not the chat
                super().store_string(string)

    try:
        file = history_file()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600))
        file.chmod(0o600)  # it may be older than this rule
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return InMemoryHistory()
    return PrivateHistory(str(file))
