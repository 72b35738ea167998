"""Small safetensors files, and what two readers make of one: ours, and the library's."""

import json
import struct
from pathlib import Path
from typing import Any

import safetensors

from llmcli.checkpoint.headers import parse_header
from llmcli.errors import InvalidModelError

# Name -> dtype, shape, bytes.
Taken = dict[str, tuple[str, tuple[int, ...], int]]


def file_bytes(header: object, n_data: int = 0) -> bytes:
    """A file with this header, or this text for one, and so many zeros."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(n_data)


def tensor(dtype: str, shape: list[Any], start: int, stop: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def library_takes(data: bytes) -> Taken | None:
    """What the safetensors library reads; None if it refuses."""
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError:
        return None
    return {
        name: (entry["dtype"], tuple(entry["shape"]), len(entry["data"])) for name, entry in tensors
    }


def we_take(data: bytes) -> Taken | None:
    """What we read; None if we refuse, in one line that is not too long."""
    try:
        header = parse_header(data, len(data), Path("x.safetensors"))
    except InvalidModelError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 400
        return None
    return {name: (each.dtype, each.shape, each.nbytes) for name, each in header.tensors.items()}
