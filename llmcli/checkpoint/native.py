"""Calls into a native library that may panic over a stranger's file. It knows nothing of which."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmcli.errors import InvalidModelError


@contextmanager
def native_call(file: Path, what: str) -> Iterator[None]:
    """Errors and panics within become InvalidModelError "`file`: `what`: ...", and nothing else is
    said: a panic would print on file descriptor 2 by itself, so that is closed to it meanwhile."""
    try:
        with _quiet_stderr():
            yield
    except BaseException as error:
        # A panic is a BaseException, of a class that cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, InvalidModelError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise InvalidModelError(f"{file}: {what}: {reason}") from None


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    try:
        saved = os.dup(2)
    except OSError:  # already closed
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
