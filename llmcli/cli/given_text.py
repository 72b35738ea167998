"""Texts that a command is given: from a file, or piped into it.

It knows files and streams, and nothing of prompts.
"""

import os
import stat
import sys
from pathlib import Path

from llmcli.errors import UsageError


def read_file(path: Path) -> str:
    """The UTF-8 text of a file that the user named. Raises UsageError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    return _decode(data, str(path))


def stdin_is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def piped_text(*, waiting: bool) -> str | None:
    """What is piped into the command; None where nothing can be.

    With `waiting` off only a pipe or a file counts: a command that has its prompt already does not
    wait for an end of input that some programs never send.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return None
    if not waiting and not _is_pipe_or_file():
        return None
    return _decode(sys.stdin.buffer.read(), "stdin")


def _is_pipe_or_file() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except OSError:  # whoever runs this within a process of their own has put something else there
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text (byte {error.start})") from None
