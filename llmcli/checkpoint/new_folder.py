"""A folder written so that what is cut off never passes for whole. It knows nothing of models.

Files get their names when all of them are there, in the order in which they were written: whoever
reads the folder should look for the last one first.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from llmcli.errors import LlmcliError, UsageError

_PARTIAL = ".partial"


class NewFolder:
    """The files of a folder that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []

    @contextmanager
    def file(self, name: str) -> Iterator[BinaryIO]:
        """A new file of the folder, open for writing."""
        with (self.path / f"{name}{_PARTIAL}").open("xb") as file:
            self.names.append(name)
            yield file
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        for name in self.names:
            (self.path / f"{name}{_PARTIAL}").rename(self.path / name)

    def discard(self) -> None:
        for name in self.names:
            for path in (self.path / name, self.path / f"{name}{_PARTIAL}"):
                path.unlink(missing_ok=True)


def check_new(path: Path) -> None:
    """Raises UsageError where something is there that would be overwritten."""
    if path.is_dir():
        if any(path.iterdir()):
            raise UsageError(f"{path} is not empty", hint="name a folder that is new, or empty")
    elif path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already, and is no folder")


@contextmanager
def new_folder(path: Path, n_bytes: int) -> Iterator[NewFolder]:
    """A folder of about `n_bytes`, whole when the block ends, or not there.

    Raises UsageError as `check_new`, and LlmcliError where the disk has no room or does not let
    itself be written to.
    """
    try:
        check_new(path)
        existed = path.is_dir()
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    folder = NewFolder(path)
    try:
        free = shutil.disk_usage(path).free
        if n_bytes > free:
            raise LlmcliError(
                f"{path} needs {n_bytes / 2**30:,.2f} GiB, and its disk has "
                f"{free / 2**30:,.2f} GiB free"
            )
        yield folder
        folder.finish()
    except BaseException as error:
        with suppress(OSError):  # what failed first is what is told
            folder.discard()
            if not existed:
                path.rmdir()
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise


def _unwritable(path: Path, error: OSError) -> LlmcliError:
    return LlmcliError(f"{path} cannot be written: {error.strerror or error}")
