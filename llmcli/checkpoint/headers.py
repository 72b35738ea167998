"""What a safetensors file says it holds: names, dtypes, shapes and byte offsets, strictly checked.

It reads headers only: it knows nothing of the numbers, of torch, or of what a model needs.

The format: 8 bytes with the header's length N (little-endian), N bytes of JSON, then the tensors,
one after the other without gap or overlap to the end of the file.
https://github.com/huggingface/safetensors#format. Nothing is accepted here that the safetensors
library refuses.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, repeat
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from llmcli.checkpoint.header_json import (
    METADATA,
    Fault,
    check_text,
    parse_compact,
    parse_object,
    short,
)
from llmcli.checkpoint.json_file import json_type, read_json_object
from llmcli.checkpoint.not_safetensors import kind_of, no_weights
from llmcli.checkpoint.regular_file import open_regular
from llmcli.errors import InvalidModelError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_HEADER_BYTES = 100_000_000  # the limit that the format itself sets
MAX_INDEX_BYTES = 128 * 1024 * 1024  # some million tensors

BITS: Mapping[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}

_LENGTH_BYTES = 8
_LIMIT = 2**64  # what the library's counters hold
_SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,200}\.safetensors")


class TensorHeader(NamedTuple):
    """One tensor as its file declares it; `start` and `stop` are byte offsets in that file, `file`
    is the file's name in its folder. A tuple: there may be a million."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int
    file: str

    @property
    def nbytes(self) -> int:
        return self.stop - self.start

    @property
    def n_values(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """One file's header; `size` is the whole file's, in bytes."""

    file: Path
    size: int
    tensors: dict[str, TensorHeader]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """The header of one safetensors file. Raises InvalidModelError with the file and the reason."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise InvalidModelError(f"{path}: there is no such file") from None
    with file:
        size = file.seek(0, 2)
        file.seek(0)
        try:
            start = _read(file, min(size, 64))
            stop = header_stop(start, size, path)
            data = start[:stop] + _read(file, stop - len(start))
        except OSError as error:
            raise InvalidModelError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_header(data, size, path)


def header_stop(start: bytes, size: int, file: Path) -> int:
    """Where the header ends and the tensors begin, in bytes, told from the file's first bytes.

    `start` holds at least 8 bytes (64 help to tell what a wrong file really is), `size` is the
    whole file's. Raises InvalidModelError where no header can be.
    """
    if size == 0:
        raise InvalidModelError(f"{file}: the file is empty")
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if size < _LENGTH_BYTES:
        reason = f"only {size} bytes long: a safetensors file has at least 8"
    elif length == 0:
        reason = "not a safetensors file: its header length is 0"
    elif length > MAX_HEADER_BYTES:
        reason = f"not a safetensors file: its header would be {length:,} bytes long"
    elif length > size - _LENGTH_BYTES:
        reason = f"the file is cut: its header ends at byte {length + 8:,}, the file at {size:,}"
    else:
        return _LENGTH_BYTES + length
    kind = kind_of(start)
    if kind is not None:
        raise InvalidModelError(f"{file}: {kind[0]}, not a safetensors file", hint=kind[1])
    raise InvalidModelError(f"{file}: {reason}", hint="download the file again")


def parse_header(data: bytes, size: int, file: Path) -> Header:
    """The header in the first bytes of a file, wherever they came from.

    `data` begins at the file's first byte and reaches at least to `header_stop`; `size` is the
    whole file's, in bytes. Raises InvalidModelError with the file and the reason.
    """
    stop = header_stop(data[:64], size, file)
    if len(data) < stop:
        raise InvalidModelError(f"{file}: the file is cut: {len(data):,} of {stop:,} header bytes")
    text = data[_LENGTH_BYTES:stop]
    try:
        return _compact(text, stop, size, file) or _any(text, stop, size, file)
    except Fault as fault:
        raise InvalidModelError(f"{file}: {fault}") from None


def read_folder(folder: Path) -> dict[str, TensorHeader]:
    """Every tensor of a model folder, by name: from model.safetensors, or from the shards that
    model.safetensors.index.json lists, whose headers must hold exactly what it says.

    Raises InvalidModelError; also where the folder has neither.
    """
    if (folder / WEIGHTS).exists() or (folder / WEIGHTS).is_symlink():
        return read_header(folder / WEIGHTS).tensors
    if (folder / INDEX).exists() or (folder / INDEX).is_symlink():
        return _read_shards(folder)
    raise no_weights(folder, f"{folder}: neither {WEIGHTS} nor {INDEX} is there")


def read_index(path: Path) -> dict[str, str]:
    """Tensor name -> shard's file name, from a `model.safetensors.index.json`.

    Every shard name is one plain component that ends in `.safetensors`: joined to the folder, it
    cannot leave it. Raises InvalidModelError.
    """
    return parse_index(read_json_object(path, limit_bytes=MAX_INDEX_BYTES), path)


def parse_index(index: Mapping[str, Any], path: Path) -> dict[str, str]:
    """The same from parsed JSON; `path` is for messages."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InvalidModelError(f"{path}: weight_map must be an object that names the shards")
    if set(map(type, weight_map.values())) != {str}:
        name, shard = next(pair for pair in weight_map.items() if type(pair[1]) is not str)
        raise InvalidModelError(
            f"{path}: the shard of tensor {short(name)} must be a file name, not {json_type(shard)}"
        )
    for shard in set(weight_map.values()):
        if not _SHARD_NAME.fullmatch(shard):
            raise InvalidModelError(
                f"{path}: the shard name {short(shard)} is not a plain *.safetensors file name"
            )
    return weight_map


def _read_shards(folder: Path) -> dict[str, TensorHeader]:
    weight_map = read_index(folder / INDEX)
    shards = sorted(set(weight_map.values()))
    return join_shards(weight_map, (_read_shard(folder / shard) for shard in shards), folder)


def _read_shard(path: Path) -> Header:
    if not path.exists() and not path.is_symlink():
        raise InvalidModelError(
            f"{path}: this shard is missing, though {INDEX} lists it",
            hint="download the model again",
        )
    return read_header(path)


def join_shards(
    weight_map: Mapping[str, str], shards: Iterable[Header], folder: Path
) -> dict[str, TensorHeader]:
    """Every tensor of all shards, which must hold exactly what the index places in each.

    `folder` is for messages. Raises InvalidModelError.
    """
    tensors: dict[str, TensorHeader] = {}
    for shard in shards:
        file, listed = shard.file.name, [*map(weight_map.get, shard.tensors)]
        if listed.count(file) < len(listed):
            name, other = next(
                pair for pair in zip(shard.tensors, listed, strict=True) if pair[1] != file
            )
            where = "does not list it" if other is None else f"places it in {other}"
            raise InvalidModelError(
                f"{shard.file}: holds tensor {short(name)}, but {INDEX} {where}"
            )
        tensors.update(shard.tensors)
    if len(tensors) < len(weight_map):
        name, file = next(pair for pair in weight_map.items() if pair[0] not in tensors)
        raise InvalidModelError(
            f"{folder / file}: tensor {short(name)} is missing, though {INDEX} places it here"
        )
    return tensors


def _read(file: BinaryIO, count: int) -> bytes:
    """Up to `count` bytes; fewer only at the end of the file."""
    chunks = []
    while count > 0 and (chunk := file.read(count)):
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)


def _any(text: bytes, data_start: int, size: int, file: Path) -> Header:
    """What any text says. Raises Fault."""
    entries = parse_object(text)
    metadata = _metadata(entries.pop(METADATA, {}))
    tensors = [_tensor(name, entry, data_start, file.name) for name, entry in entries.items()]
    _check_cover(tensors, data_start, size)
    return Header(file, size, {tensor.name: tensor for tensor in tensors}, metadata)


def _compact(text: bytes, data_start: int, size: int, file: Path) -> Header | None:
    """The same, three times as fast, of a text as the safetensors library writes it, tensors in
    their order; None of any other, and of most that are to be refused. Raises Fault."""
    compact = parse_compact(text)
    if compact is None:
        return None
    names, kinds, starts, stops = zip(*compact.tensors, strict=True)
    # One tensor of each dtype and shape is checked in full. The others show that they are as good
    # by lying where tensors of these sizes lie that follow each other.
    checked = {}
    for name, kind, start, stop in dict(zip(kinds, compact.tensors, strict=True)).values():
        entry = parse_object(f'{{{kind},"data_offsets":[{start},{stop}]}}'.encode())
        checked[kind] = _tensor(name, entry, 0, file.name)
    like = [*map(checked.__getitem__, kinds)]
    places = [*accumulate((tensor.nbytes for tensor in like), initial=0)]
    if [*map(int, starts)] != places[:-1] or [*map(int, stops)] != places[1:]:
        return None
    places = [data_start + place for place in places]
    dtypes, shapes = (map(attrgetter(what), like) for what in ("dtype", "shape"))
    columns = (names, dtypes, shapes, places, places[1:], repeat(file.name))
    tensors = dict(zip(names, map(TensorHeader, *columns), strict=True))
    if places[-1] != size or len(tensors) < len(names) or METADATA in tensors:
        return None
    return Header(file, size, tensors, _metadata(compact.metadata))


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Fault(f"__metadata__ must be an object, not {json_type(value)}")
    for key, text in value.items():
        if not isinstance(text, str):
            raise Fault(f"__metadata__ {short(key)} must be a string, not {json_type(text)}")
        check_text(key)
        check_text(text)
    return value


def _tensor(name: str, entry: Any, data_start: int, file: str) -> TensorHeader:
    """One entry of a header. Raises Fault."""
    if not name.isascii():
        check_text(name)
    try:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError):
        dtype = None
    if dtype is None or type(entry) is not dict or len(entry) != 3:
        raise _fault(name, " must have dtype, shape and data_offsets, and nothing else")
    n_bits = BITS.get(dtype) if type(dtype) is str else None
    if n_bits is None:
        raise _fault(name, f" has the unknown dtype {short(str(dtype))}")
    if type(shape) is not list:
        raise _fault(name, ": shape must be a list of whole numbers")
    # An overflow on the way is refused even where a later width is 0, as the library does.
    for width in shape:
        if type(width) is not int:
            raise _fault(name, ": shape must be a list of whole numbers")
        n_bits *= width
        if n_bits >= _LIMIT:
            raise _fault(name, ": its shape overflows")
    if type(offsets) is not list or len(offsets) != 2 or not _whole(*offsets):
        raise _fault(name, ": data_offsets must be two whole numbers")
    if n_bits % 8:
        raise _fault(name, f": {list(shape)} values of {dtype} do not fill whole bytes")
    start, stop = offsets
    if start > stop or stop - start != n_bits // 8:
        raise _fault(
            name,
            f": data_offsets [{start}, {stop}] span {stop - start:,} bytes, "
            f"{dtype} {short(str(shape))} needs {n_bits // 8:,}",
        )
    return TensorHeader(name, dtype, tuple(shape), data_start + start, data_start + stop, file)


def _whole(one: Any, other: Any) -> bool:
    return type(one) is int and type(other) is int


def _fault(name: str, reason: str) -> Fault:
    return Fault(f"tensor {short(name)}{reason}")


def _check_cover(tensors: list[TensorHeader], data_start: int, size: int) -> None:
    """The tensors must follow each other without hole or overlap, from the header to the end."""
    position = data_start
    for tensor in sorted(tensors, key=attrgetter("start", "stop")):
        if tensor.start != position:
            problem = "overlaps the one before it" if tensor.start < position else "follows a hole"
            raise Fault(f"tensor {short(tensor.name)} {problem}")
        position = tensor.stop
    if position > size:
        raise Fault(f"the file is cut: its tensors end at byte {position:,}, the file at {size:,}")
    if position < size:
        raise Fault(f"{size - position:,} bytes follow the last tensor")
