"""Texts that a command is given: from a file, or piped into it.

It knows files and streams, and nothing of prompts.
"""

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from llmcli.errors import UsageError

MOST_BYTES = 256 * 1024 * 1024  # more than any context; a device may have no end


def read_file(path: Path) -> str:
    """The UTF-8 text of a file that the user named, which may be a pipe. Raises UsageError."""
    try:
        with path.open("rb") as file:
            return _text(file, str(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


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
    return _text(sys.stdin.buffer, "stdin")


def _is_pipe_or_file() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except OSError:  # whoever runs this within a process of their own has put something else there
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _text(file: BinaryIO, name: str) -> str:
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError(f"{name}: longer than {MOST_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text (byte {error.start})") from None
