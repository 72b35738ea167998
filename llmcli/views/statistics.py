"""What the numbers of a model's tensors are like: extremes, mean, spread, zeros, NaN, infinities.

It reads weights, a piece at a time, so that a model of any size takes little memory; it knows
nothing of what a tensor is for, or of how the figures are shown.
"""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from llmcli.checkpoint.headers import BITS, TensorHeader, read_folder, read_header
from llmcli.checkpoint.regular_file import open_regular
from llmcli.checkpoint.store import Source
from llmcli.errors import InvalidModelError
from llmcli.views.inspection import Inspection

if TYPE_CHECKING:
    import torch

# The header's spellings -> torch's, of all that torch can convert.
_FLOATS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
_INTEGERS = {
    "I8": "int8",
    "U8": "uint8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "BOOL": "uint8",
}

PIECE_VALUES = 2**20  # 8 MiB in fp64, in which is computed


@dataclass(frozen=True)
class TensorStats:
    """One tensor's values as they are stored, a packed matrix's as its integers. `zeros`, `nan` and
    `infinite` count values; the rest is of the finite ones alone. `sd` is the root of the mean
    squared deviation (divided by n). None: of an unknown dtype all is; without a finite value min,
    max, mean and sd; and what fp64 does not hold."""

    name: str
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    sd: float | None = None
    zeros: int | None = None
    nan: int | None = None
    infinite: int | None = None


@dataclass(frozen=True)
class MeasuredInspection(Inspection):
    """With the statistics of the tensors that are listed, in their order."""

    stats: tuple[TensorStats, ...] = ()


def measured(
    report: Inspection,
    source: Source,
    *,
    progress: Callable[[int], None],
    piece_values: int = PIECE_VALUES,
) -> MeasuredInspection:
    """The report with statistics; reads all bytes of the tensors that it lists, and tells each
    piece's count to `progress`. Raises InvalidModelError where a file cannot be read."""
    names = [tensor.name for tensor in report.tensors]
    stats = tensor_stats(source, names, progress=progress, piece_values=piece_values)
    return MeasuredInspection(**vars(report), stats=stats)


def tensor_stats(
    source: Source,
    names: Collection[str],
    *,
    progress: Callable[[int], None],
    piece_values: int = PIECE_VALUES,
) -> tuple[TensorStats, ...]:
    """The statistics of these tensors, in the order of `names`."""
    alone = source.kind == "file"
    headers = read_header(Path(source.name)).tensors if alone else read_folder(source.folder)
    # Read in the order of the files, which disks read ahead.
    in_place = sorted((headers[name] for name in names), key=lambda each: (each.file, each.start))
    found = {}
    for header in in_place:
        path = Path(source.name) if alone else source.folder / header.file
        found[header.name] = _of_tensor(header, path, piece_values, progress)
    return tuple(found[name] for name in names)


def _of_tensor(
    header: TensorHeader, path: Path, piece_values: int, progress: Callable[[int], None]
) -> TensorStats:
    if header.dtype not in _FLOATS and header.dtype not in _INTEGERS:
        progress(header.nbytes)
        return TensorStats(header.name)
    count = _Count()
    for piece in _pieces(header, path, piece_values, progress):
        count.add(piece)
    return count.stats(header.name)


def _pieces(
    header: TensorHeader, path: Path, piece_values: int, progress: Callable[[int], None]
) -> "Iterator[torch.Tensor]":
    """The values of a tensor, in order, as vectors of up to `piece_values`: floating-point ones in
    fp64, integers in int64."""
    import torch

    integers = header.dtype in _INTEGERS
    stored = getattr(torch, (_INTEGERS if integers else _FLOATS)[header.dtype])
    width = BITS[header.dtype] // 8
    try:
        with open_regular(path) as file:
            file.seek(header.start)
            for start in range(0, header.n_values, piece_values):
                data = bytearray(min(piece_values, header.n_values - start) * width)
                _fill(file, data, path)
                values = torch.frombuffer(data, dtype=stored)
                if header.dtype == "BOOL":
                    values = values != 0
                yield values.to(torch.int64 if integers else torch.float64)
                progress(len(data))
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read: {error.strerror or error}") from None


def _fill(file: BinaryIO, data: bytearray, path: Path) -> None:
    view = memoryview(data)
    done = 0
    while done < len(data):
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise InvalidModelError(f"{path}: the file became shorter while it was read")
        done += count


class _Count:
    """Of the pieces so far: mean and squared deviations of all are combined from those of each,
    which loses nothing where sums of squares would. Chan, Golub and LeVeque 1979, "Updating
    Formulae and a Pairwise Algorithm for Computing Sample Variances"."""

    def __init__(self) -> None:
        self.n = self.zeros = self.nan = self.infinite = 0
        self.least: float | None = None
        self.most: float | None = None
        self.mean = self.deviations = 0.0

    def add(self, values: "torch.Tensor") -> None:
        """`values` is a vector, in fp64 or int64, not empty."""
        self.zeros += values.numel() - int(values.count_nonzero())
        if values.is_floating_point():
            finite = values.isfinite()
            if not finite.all():
                nan = int(values.isnan().sum())
                self.nan += nan
                values, before = values[finite], values.numel()
                self.infinite += before - values.numel() - nan
        n = values.numel()
        if n == 0:
            return
        least, most = values.min().item(), values.max().item()
        self.least = least if self.least is None else min(self.least, least)
        self.most = most if self.most is None else max(self.most, most)
        values = values.double()
        mean = values.mean().item()
        deviations = (values - mean).square_().sum().item()
        apart = mean - self.mean
        total = self.n + n
        self.mean += apart * n / total
        # Products, not powers: what is too large becomes infinite, and raises nothing.
        self.deviations += deviations + apart * apart * (self.n / total * n)
        self.n = total

    def stats(self, name: str) -> TensorStats:
        mean = sd = None
        if self.n:
            mean, sd = _held(self.mean), _held(math.sqrt(self.deviations / self.n))
        return TensorStats(
            name, self.least, self.most, mean, sd, self.zeros, self.nan, self.infinite
        )


def _held(value: float) -> float | None:
    return value if math.isfinite(value) else None
