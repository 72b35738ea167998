"""Safetensors files written piece by piece, in any order: no model need be in memory at once.

It knows the format (see `headers`), and nothing of what the tensors mean.
"""

import ctypes
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar

from torch import Tensor

from llmcli.checkpoint.headers import BITS, WEIGHTS

MAX_SHARD_BYTES = 5_000_000_000


@dataclass(frozen=True)
class Entry:
    """A tensor that is to be written."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * BITS[self.dtype] // 8


class Sized(Protocol):
    """What goes into one file as a whole."""

    @property
    def nbytes(self) -> int: ...


Part = TypeVar("Part", bound=Sized)


def plan_shards(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """File name -> what goes into it, in the order given."""
    shards: list[list[Part]] = [[]]
    room = MAX_SHARD_BYTES
    for part in parts:
        if part.nbytes > room and shards[-1]:
            shards.append([])
            room = MAX_SHARD_BYTES
        shards[-1].append(part)
        room -= part.nbytes
    if len(shards) == 1:
        return {WEIGHTS: shards[0]}
    last = len(shards)
    return {f"model-{n:05}-of-{last:05}.safetensors": shard for n, shard in enumerate(shards, 1)}


def index_text(shards: Mapping[str, Sequence[Entry]]) -> str:
    """What the index of several files says."""
    weight_map = {entry.name: file for file, entries in shards.items() for entry in entries}
    total = sum(entry.nbytes for entries in shards.values() for entry in entries)
    return json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2)


class ShardWriter:
    """One file: its header is written at once, the numbers as they come."""

    def __init__(
        self, file: BinaryIO, entries: Sequence[Entry], metadata: Mapping[str, str] | None = None
    ) -> None:
        self._file = file
        self._places: dict[str, int] = {}
        header: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
        end = 0
        # The widest numbers first, as the safetensors library has it: each starts on a multiple
        # of its own width.
        for entry in sorted(entries, key=lambda entry: -BITS[entry.dtype]):
            start, end = end, end + entry.nbytes
            self._places[entry.name] = start
            header[entry.name] = {
                "dtype": entry.dtype,
                "shape": entry.shape,
                "data_offsets": (start, end),
            }
        text = json.dumps(header, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        file.write(len(text).to_bytes(8, "little") + text)
        self._places = {name: 8 + len(text) + start for name, start in self._places.items()}
        file.truncate(8 + len(text) + end)

    def write(self, name: str, part: bytes | Tensor) -> None:
        """The next bytes of a tensor."""
        if isinstance(part, Tensor):
            part = part.contiguous()  # held, while its memory is read
        data = part if isinstance(part, bytes) else memory_of(part)
        self._file.seek(self._places[name])
        self._file.write(data)
        self._places[name] += len(data)


def memory_of(tensor: Tensor) -> ctypes.Array[ctypes.c_char]:
    """The memory of a contiguous tensor on the CPU, which must outlive what is returned."""
    return (ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr())
