"""How a file of a stranger's folder is opened: only if it is a regular one, and without waiting.

It knows nothing of what the files hold.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from llmcli.errors import InvalidModelError


def open_regular(path: Path) -> BinaryIO:
    """`path` opened for reading, unbuffered; symbolic links to regular files are followed.

    Raises FileNotFoundError when nothing is there, and InvalidModelError for a FIFO, device,
    socket, directory, a link that leads nowhere, or a file that may not be read.
    """
    # O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    try:
        # Asked first, since opening alone can make a device act; asked again below, of what was
        # really opened.
        _require_regular(path, path.stat().st_mode)
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        if path.is_symlink():
            raise InvalidModelError(f"{path}: a symbolic link to a file that is gone") from None
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidModelError(f"{path}: cannot be read: {reason}") from None
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    kind = kinds.get(stat.S_IFMT(mode), "something else")
    raise InvalidModelError(f"{path}: not a regular file but {kind}")
