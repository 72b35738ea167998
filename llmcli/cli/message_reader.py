"""Reads what the user types at the prompt of a chat: one message, perhaps of many lines.

It knows keys, blocks and the history file, and nothing of what a message means.
"""

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from llmcli.cli.interrupts import interruptible, nothing, presses
from llmcli.cli.output import Output
from llmcli.cli.turns import Turns
from llmcli.cli.user_folders import history_file

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings

PROMPT = "> "
CONTINUED = "  "
BLOCK = '"""'
MENU_LINES = 6


def _option(*names: str, help: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel="Typing", **settings)


@dataclass(frozen=True)
class InputFlags:
    """The options as given."""

    vi: Annotated[bool, _option("--vi", help="Edit the line with the keys of vi.")] = False
    no_history: Annotated[
        bool, _option("--no-history", help="Keep no session, and read and write no past prompts.")
    ] = False


class Reader(Protocol):
    can_prefill: bool

    def read(self, text: str = "") -> str | None:
        """The next message; None at the end of input. Raises KeyboardInterrupt on Ctrl+C. `text`
        stands there to be changed, where the terminal `can_prefill` it."""


def message_reader(turns: Turns, flags: InputFlags) -> Reader:
    """With line editing and history where the terminal can, else line by line."""
    output = turns.output
    screen = output.stderr if output.stderr.isatty() else output.stdout
    if os.environ.get("TERM") in (None, "", "dumb") or not screen.isatty():
        return LineReader(output)
    return EditingReader(turns, flags, screen.fileno())


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
            with interruptible():
                line = sys.stdin.readline()
        finally:
            if not line.endswith("\n"):  # Ctrl+C and Ctrl+D leave the cursor where it was
                self._stderr.write("\n")
        return line


class _Noted(KeyboardInterrupt):
    """Ctrl+C as a signal, which its handler has noted."""


class EditingReader:
    """prompt_toolkit: line editing, history, several lines; what is pasted never submits."""

    can_prefill = True

    def __init__(self, turns: Turns, flags: InputFlags, screen: int) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
        from prompt_toolkit.cursor_shapes import ModalCursorShapeConfig
        from prompt_toolkit.enums import EditingMode
        from prompt_toolkit.filters import Condition
        from prompt_toolkit.output import create_output

        from llmcli.cli.completion import ChatCompleter
        from llmcli.cli.keyboard import Keyboard
        from llmcli.cli.slash import is_command

        self._keyboard = Keyboard(sys.stdin)
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            input=self._keyboard,
            output=create_output(os.fdopen(screen, "w", closefd=False)),
            history=None if flags.no_history else _history(),
            key_bindings=_keys(),
            multiline=True,
            prompt_continuation=CONTINUED,
            editing_mode=EditingMode.VI if flags.vi else EditingMode.EMACS,
            cursor=ModalCursorShapeConfig() if flags.vi else None,
            auto_suggest=AutoSuggestFromHistory(),
            completer=ChatCompleter(turns),
            complete_while_typing=Condition(lambda: is_command(self._session.default_buffer.text)),
            reserve_space_for_menu=MENU_LINES,
            enable_open_in_editor=True,
            enable_suspend=True,
            search_ignore_case=True,
            tempfile_suffix=".md",
        )

    def read(self, text: str = "") -> str | None:
        presses.wake = self._wake
        try:
            # A handler for Ctrl+C of its own would still be there when the terminal is no longer in
            # raw mode, and lose what is pressed then.
            text = self._session.prompt(
                default=text, pre_run=self._leave_if_told, handle_sigint=False
            )
            if self._keyboard.interrupted():
                raise KeyboardInterrupt
            return unwrapped(text)
        except EOFError:
            return None
        except _Noted:
            raise
        except KeyboardInterrupt:  # the key: there is no signal while the terminal is in raw mode
            presses.note()
            raise
        finally:
            presses.wake = nothing

    def _wake(self) -> None:
        """From a signal's handler: have the loop look what is to be done."""
        loop = self._session.app.loop
        if self._session.app.is_running and loop is not None:
            loop.call_soon_threadsafe(self._obey)

    def _obey(self) -> None:
        self._leave_if_told()
        app = self._session.app
        if presses.pending and app.future is not None and not app.future.done():
            presses.pending = False
            app.exit(exception=_Noted)

    def _leave_if_told(self) -> None:
        app = self._session.app
        if presses.exit_code is not None and app.future is not None and not app.future.done():
            app.exit(exception=EOFError)


def _keys() -> "KeyBindings":
    """Enter submits, but not in an open block; Alt+Enter and Ctrl+J begin a new line. In vi's mode
    Escape is a key of its own, and an Enter after it is an Enter."""
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import emacs_mode, has_focus
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.keys import Keys

    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        if in_open_block(event.current_buffer.text):
            event.current_buffer.insert_text("\n")
        else:
            presses.pending = False  # one that is pressed from now on is for the answer
            event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing & emacs_mode)
    @keys.add("c-j", filter=typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    # No mouse was asked for: what reads like one is a colour in a text from elsewhere.
    @keys.add(Keys.Vt100MouseEvent)
    def _(event: KeyPressEvent) -> None:
        pass

    return keys


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
    except OSError:
        return InMemoryHistory()
    return PrivateHistory(str(file))
