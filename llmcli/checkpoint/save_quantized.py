"""A plain checkpoint -> a folder that holds the same model rounded, as docs/quantization.md has it.

It knows nothing of how numbers are rounded, nor of how files are kept from passing for whole.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from llmcli.checkpoint.headers import INDEX, TensorHeader
from llmcli.checkpoint.hub import NEEDED
from llmcli.checkpoint.json_file import read_json_object
from llmcli.checkpoint.layout import Expected, packed_tensors
from llmcli.checkpoint.new_folder import new_folder
from llmcli.checkpoint.quantization import QuantScheme
from llmcli.checkpoint.quantized import join_nibbles
from llmcli.checkpoint.regular_file import open_regular
from llmcli.checkpoint.shards import Entry, ShardWriter, index_text, plan_shards
from llmcli.checkpoint.weights import MappedFiles
from llmcli.core.packing import row_blocks, unpack_codes, unpack_groups
from llmcli.core.quantize import quantize
from llmcli.core.schemes import PackScheme

CONFIG = "config.json"
_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class _Stored:
    """A tensor of the source, and what is stored for it: itself, or codes and scales."""

    tensor: Expected
    header: TensorHeader
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, tensor: Expected, header: TensorHeader) -> "_Stored":
        if tensor.packing is None:
            return cls(tensor, header, (Entry(tensor.name, header.dtype, header.shape),))
        packed = packed_tensors(tensor, tensor.packing)
        return cls(
            tensor, header, tuple(Entry(each.name, str(each.dtype), each.shape) for each in packed)
        )

    @property
    def nbytes(self) -> int:
        return sum(entry.nbytes for entry in self.entries)


def save_quantized(
    folder: Path,
    headers: Mapping[str, TensorHeader],
    expected: Sequence[Expected],
    scheme: QuantScheme,
    out: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write the model of `folder` to `out`, a new or an empty folder; returns its files and their
    sizes in bytes.

    `expected` says which matrices are rounded, all of them by `scheme`; a part of one is in memory
    at a time. `progress` is told the bytes of `folder` done with each step. Raises as `new_folder`.
    """
    config = read_json_object(folder / CONFIG)
    config["quantization_config"] = scheme.settings()
    shards = plan_shards(_Stored.of(tensor, headers[tensor.name]) for tensor in expected)
    entries = {file: [e for part in parts for e in part.entries] for file, parts in shards.items()}
    maps = MappedFiles(folder)
    with new_folder(out, sum(part.nbytes for parts in shards.values() for part in parts)) as new:
        for name, parts in shards.items():
            with new.file(name) as file:
                writer = ShardWriter(file, entries[name])
                for part in parts:
                    if part.tensor.rounding is None:
                        _copy(writer, folder, part.header)
                    else:
                        _write_rounded(writer, maps, part, part.tensor.rounding)
                    if progress is not None:
                        progress(part.header.nbytes)
        if len(shards) > 1:
            with new.file(INDEX) as file:
                file.write(index_text(entries).encode())
        for name in NEEDED:
            if name != CONFIG and (folder / name).exists():
                with open_regular(folder / name) as source, new.file(name) as file:
                    shutil.copyfileobj(source, file)
        with new.file(CONFIG) as file:  # the last: a folder without it is no model
            file.write(json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n")
    return {name: (out / name).stat().st_size for name in new.names}


def _copy(writer: ShardWriter, folder: Path, header: TensorHeader) -> None:
    with open_regular(folder / header.file) as source:
        source.seek(header.start)
        left = header.nbytes
        while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
            writer.write(header.name, chunk)
            left -= len(chunk)


def _write_rounded(
    writer: ShardWriter, maps: MappedFiles, part: _Stored, scheme: PackScheme
) -> None:
    matrix: Tensor = maps.tensor(part.header)
    matrix = matrix.T if part.tensor.transposed else matrix
    codes, scales = (entry.name for entry in part.entries)
    for rows in row_blocks(*matrix.shape):
        packed = quantize(matrix[rows], scheme)
        n_rows, n_columns = packed.out_features, packed.in_features
        numbers = unpack_codes(packed.codes, scheme.bits, n_columns)[:n_rows]
        writer.write(codes, numbers if scheme.bits == 8 else join_nibbles(numbers))
        writer.write(scales, unpack_groups(packed.scales)[:n_rows])
    maps.release(part.header)
