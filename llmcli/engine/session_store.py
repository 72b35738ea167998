"""The folder of sessions: each a file of its own, replaced only as a whole, whoever else writes.

It knows files, names and locks, and nothing of what a session says.
"""

import difflib
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from llmcli.checkpoint.json_file import MIB
from llmcli.checkpoint.regular_file import open_regular
from llmcli.engine.saved_session import SavedSession, parse_session
from llmcli.errors import InvalidModelError, LlmcliError, UsageError

SUFFIX, CACHE_SUFFIX, PARTIAL = ".jsonl", ".safetensors", ".partial"
MAX_BYTES = 64 * MIB
LOCK_SECONDS = 2.0
STALE_SECONDS = 3600.0
_NAME = re.compile(r"\w[\w.+-]{0,63}")

# Which file a session was read from, or written to: inode, time of its last change, size.
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Reading:
    """What a file holds, and what is wrong with it: None where nothing is."""

    session: SavedSession
    damage: str | None
    stamp: Stamp


class SessionStore:
    """Methods raise OSError where the disk does not let itself be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Its file. Raises UsageError for a name that no session can have."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name[:80]!r} cannot be the name of a session",
                hint="letters, digits and . _ + - inside, 64 characters at most",
            )
        return self.folder / f"{name}{SUFFIX}"

    def cache_path(self, name: str) -> Path:
        """Where its KV cache lies, if it is kept."""
        return self.path(name).with_name(f"{name}{CACHE_SUFFIX}")

    def names(self) -> list[str]:
        """All sessions, the one that was written last first."""
        found: list[tuple[int, str]] = []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name.removesuffix(SUFFIX)
                if name != entry.name and _NAME.fullmatch(name):
                    with suppress(OSError):  # gone meanwhile
                        if entry.is_file():
                            found.append((entry.stat().st_mtime_ns, name))
        return [name for _, name in sorted(found, reverse=True)]

    def read(self, name: str) -> Reading:
        """Raises UsageError where there is no such session, and LlmcliError for what is no session
        file at all, or one of a newer llmcli."""
        path = self.path(name)
        try:
            with open_regular(path) as file:
                stamp = _stamp(file.fileno())
                data = b""
                while len(data) <= MAX_BYTES and (part := file.read(MIB)):
                    data += part
        except FileNotFoundError:
            near = difflib.get_close_matches(name, self.names(), n=1)
            raise UsageError(
                f"there is no session {name}" + (f"; did you mean {near[0]}?" if near else ""),
                hint="`llmcli sessions` lists them",
            ) from None
        except InvalidModelError as error:
            raise LlmcliError(str(error)) from None
        if len(data) > MAX_BYTES:
            raise LlmcliError(f"{path}: larger than {MAX_BYTES:,} bytes, the most it may be")
        try:
            return Reading(*parse_session(data), stamp)
        except LlmcliError as error:
            raise LlmcliError(f"{path}: {error}") from None

    def write(self, name: str, data: bytes, over: Stamp | None) -> tuple[str, Stamp]:
        """Write a session, and return the name that it got, with the file's stamp.

        It takes the place of the file `over` and of no other: where another one has the name, a
        number is added. Whoever is killed meanwhile leaves the old file or the new one.
        """
        self.path(name)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            name = self._free(name, over)
            with private_file(self.path(name)) as descriptor:
                with os.fdopen(descriptor, "wb", closefd=False) as file:
                    file.write(data)
                stamp = _stamp(descriptor)
        return name, stamp

    def set_aside(self, name: str) -> Path:
        """Rename a damaged file, so that nothing is written over it; returns its new place."""
        aside = self.folder / f"{name}.corrupt-{datetime.now():%Y%m%dT%H%M%S.%f}"
        with self._locked():
            self.path(name).rename(aside)
        return aside

    def remove(self, name: str) -> None:
        """Raises UsageError where there is no such session."""
        path = self.path(name)
        if name not in self.names():
            self.read(name)  # says what is wrong with it
        with self._locked():
            path.unlink(missing_ok=True)
            self.cache_path(name).unlink(missing_ok=True)

    def _free(self, name: str, over: Stamp | None) -> str:
        tried, number = name, 1
        while True:
            try:
                status = self.path(tried).lstat()
            except FileNotFoundError:
                return tried
            if over == (status.st_ino, status.st_mtime_ns, status.st_size):
                return tried
            number += 1
            tried = f"{name[:60]}-{number}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone in the folder. Raises OSError where another process stays in it."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)
                except OSError:  # a file system without locks
                    break
            yield
        finally:
            os.close(descriptor)


@contextmanager
def private_file(path: Path) -> Iterator[int]:
    """A descriptor to write to, whose file becomes `path` when the block ends, for this user only;
    where it does not end well, `path` is as it was."""
    for old in path.parent.glob(f"{path.name}.*{PARTIAL}"):  # of processes that were killed
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > STALE_SECONDS:
                old.unlink()
    descriptor, made = tempfile.mkstemp(PARTIAL, f"{path.name}.", path.parent)
    partial = Path(made)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):  # what failed first is what is told
            partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system can
            os.fsync(folder)
    finally:
        os.close(folder)


def _stamp(descriptor: int) -> Stamp:
    status = os.fstat(descriptor)
    return status.st_ino, status.st_mtime_ns, status.st_size
