"""How a small text or JSON file of a model folder is read: bounded, strict, never hanging.

It knows nothing of what the files mean.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from llmcli.checkpoint.regular_file import open_regular
from llmcli.errors import InvalidModelError

MIB = 1024 * 1024
MAX_DEPTH = 64
_LFS_POINTER = b"version https://git-lfs"


def read_json_object(path: Path, *, limit_bytes: int = 16 * MIB) -> dict[str, Any]:
    """The JSON object in `path`, whose top level must be an object.

    NaN and infinite numbers are refused, as is nesting beyond `MAX_DEPTH`; of equal keys the last
    counts, as in the reference library. Raises InvalidModelError with the file and the reason,
    also when the file is missing.
    """
    value = read_optional_json_object(path, limit_bytes=limit_bytes)
    if value is None:
        raise InvalidModelError(f"{path}: there is no such file")
    return value


def read_optional_json_object(path: Path, *, limit_bytes: int = 16 * MIB) -> dict[str, Any] | None:
    """As `read_json_object`, but None when the file is missing."""
    data = read_optional_bytes(path, limit_bytes=limit_bytes)
    return None if data is None else parse_json_object(data, path)


def parse_json_object(data: bytes, path: Path) -> dict[str, Any]:
    """The JSON object that a file's content is, wherever it came from. Raises as
    `read_json_object`."""
    try:
        value = json.loads(_decoded(data, path), parse_constant=_refuse_number, parse_float=_finite)
    except RecursionError:
        raise InvalidModelError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise InvalidModelError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidModelError(f"{path}: the top level must be an object, not {json_type(value)}")
    _check_depth(path, value)
    return value


def read_optional_text(path: Path, *, limit_bytes: int = 16 * MIB) -> str | None:
    """The UTF-8 text in `path`, line ends as they are; None when the file is missing."""
    data = read_optional_bytes(path, limit_bytes=limit_bytes)
    return None if data is None else _decoded(data, path)


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{path}: not UTF-8 text (byte {error.start})") from None


def read_optional_bytes(path: Path, *, limit_bytes: int) -> bytes | None:
    """What is in the regular file `path`, at most `limit_bytes`; None when it is missing.

    A FIFO, device, socket or directory is refused without waiting for it. Raises
    InvalidModelError, also for what is plainly another kind of file (Git LFS pointer, empty).
    """
    try:
        with open_regular(path) as file:
            data = _read(file, limit_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > limit_bytes:
        raise InvalidModelError(f"{path}: larger than {limit_bytes:,} bytes, the most it may be")
    if not data:
        raise InvalidModelError(f"{path}: the file is empty")
    if data.startswith(_LFS_POINTER):
        raise InvalidModelError(
            f"{path}: a Git LFS pointer, not the file itself",
            hint="run `git lfs pull` in that folder, or download the model again",
        )
    return data


def _read(file: BinaryIO, limit: int) -> bytes:
    # An unbuffered file gives what one call of the system gives, which may be less.
    parts, wanted = [], limit
    while wanted and (part := file.read(wanted)):
        parts.append(part)
        wanted -= len(part)
    return b"".join(parts)


def json_type(value: object) -> str:
    """What JSON calls the type of `value`: for messages."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    names |= {list: "an array", dict: "an object", type(None): "null"}
    return names[type(value)]


def _refuse_number(spelling: str) -> float:
    raise ValueError(f"the number {spelling} is not allowed")


def _finite(spelling: str) -> float:
    number = float(spelling)
    return number if abs(number) != float("inf") else _refuse_number(spelling[:40])


def _check_depth(path: Path, value: dict[str, Any]) -> None:
    """Refuse what would exhaust the stack of anyone who walks `value` recursively."""
    stack: list[Iterator[Any]] = [iter(value.values())]
    while stack:
        for item in stack[-1]:
            if isinstance(item, (dict, list)):
                stack.append(iter(item.values() if isinstance(item, dict) else item))
                break
        else:
            stack.pop()
        if len(stack) > MAX_DEPTH:
            raise InvalidModelError(f"{path}: nested more than {MAX_DEPTH} levels deep")
