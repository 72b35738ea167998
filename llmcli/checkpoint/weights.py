"""Headers + shards -> a filled Decoder: files are mapped, and copied tensor by tensor.

It knows nothing of how the decoder computes.
"""

import mmap
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path

import torch
from torch import Tensor, nn

from llmcli.checkpoint.headers import TensorHeader
from llmcli.checkpoint.layout import Expected, by_target
from llmcli.checkpoint.quantization import Kind
from llmcli.checkpoint.quantized import Unpacked, build_linear, unpack
from llmcli.checkpoint.resident import kept_narrow
from llmcli.core import ops
from llmcli.core.config import ModelConfig
from llmcli.core.linear import AnyLinear, QuantizedEmbedding, QuantizedLinear
from llmcli.core.memory import HugePages, return_freed
from llmcli.core.model import Decoder
from llmcli.core.quantize import quantize
from llmcli.core.schemes import PackScheme
from llmcli.errors import InvalidModelError

DTYPES: Mapping[str, torch.dtype] = {
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F64": torch.float64,
    "I32": torch.int32,
    "U8": torch.uint8,
}
New = Callable[..., Tensor]  # (shape, dtype=...) -> a tensor whose values are not set


class MappedFiles:
    """The weight files of one folder, each mapped once, read-only as far as the disk goes.

    A map is never closed, since tensors may view its pages: it goes with the last of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: dict[str, mmap.mmap] = {}

    def dtype(self, header: TensorHeader) -> torch.dtype:
        """What the tensor is stored in. Raises InvalidModelError where that is not supported."""
        dtype = DTYPES.get(header.dtype)
        if dtype is None:
            raise InvalidModelError(
                f"{header.file}: tensor {header.name} has dtype {header.dtype}, not supported here"
            )
        return dtype

    def tensor(self, header: TensorHeader) -> Tensor:
        """The tensor on the CPU, in the file's dtype, sharing the file's pages."""
        dtype, buffer = self.dtype(header), self._map(header.file)
        count = header.nbytes // dtype.itemsize
        if header.start % dtype.itemsize == 0:
            flat = torch.frombuffer(buffer, dtype=dtype, count=count, offset=header.start)
        else:  # old writers did not align: such a tensor is copied to be addressable
            raw = torch.frombuffer(
                buffer, dtype=torch.uint8, count=header.nbytes, offset=header.start
            )
            flat = raw.clone().view(dtype)
        return flat.reshape(header.shape)

    def release(self, header: TensorHeader) -> None:
        """Give back the pages of a tensor that has been copied: it is not held twice."""
        first = -(-header.start // mmap.PAGESIZE) * mmap.PAGESIZE
        last = header.stop // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first and hasattr(mmap, "MADV_DONTNEED"):
            self._map(header.file).madvise(mmap.MADV_DONTNEED, first, last - first)

    def _map(self, name: str) -> mmap.mmap:
        if name not in self._maps:
            with (self._folder / name).open("rb") as file:
                # ACCESS_COPY: torch wants writable memory; a write would never reach the file.
                self._maps[name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return self._maps[name]


def load_decoder(
    folder: Path,
    headers: Mapping[str, TensorHeader],
    expected: Sequence[Expected],
    config: ModelConfig,
    *,
    dtype: torch.dtype,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> Decoder:
    """A Decoder filled from the folder's weight files, ready to run.

    Each tensor is copied once, fused and converted on the way, and its pages of the file given
    back; where fp32 is computed in, matrices that lie in bf16 may stay so (`ops.widens`). Modules
    with parts that are packed, or to be rounded, are replaced by quantized ones, one after the
    other: no two are held plain at a time.
    `headers` and `expected` must have passed `check_tensors`. `progress` is told the bytes of the
    file done with each step.
    """
    with torch.device("meta"):
        decoder = Decoder(config)
    state: dict[str, Tensor] = {}
    packed: dict[str, list[Expected]] = {
        tensor.module: [] for tensor in expected if tensor.packing is not None
    }
    files, memory = MappedFiles(folder), HugePages()
    new = memory.empty if device.type == "cpu" else partial(torch.empty, device=device)
    narrow = kept_narrow(expected, headers) if ops.widens(device, dtype) else frozenset()
    if "embed.weight" in narrow:
        decoder.embed.computed_in = dtype
    for target, parts in by_target(expected).items():
        matrices = packed.get(parts[0].module)
        if matrices is not None and not target.endswith(".bias"):
            matrices += parts
            continue
        # Norms stay in fp32 whatever the rest is in: they are small, and sensitive.
        wanted = torch.float32 if parts[0].component == "norms" else dtype
        wanted = torch.bfloat16 if target in narrow else wanted
        state[target] = _fill(files, headers, parts, wanted, new)
        if progress is not None:
            progress(sum(headers[part.name].nbytes for part in parts))
    for module, matrices in packed.items():
        bias = state.pop(f"{module}.bias", None)
        scheme = matrices[0].rounding
        if scheme is not None:
            linear: AnyLinear = _round(files, headers, matrices, scheme, bias, device, new)
        else:
            unpacked = _unpack_parts(files, headers, matrices, dtype)
            linear = build_linear(unpacked, bias, device)
            if device.type == "cpu":
                own = {name: memory.hold(part) for name, part in linear.state_dict().items()}
                linear.load_state_dict(own, assign=True)
        quantized: nn.Module = linear
        if module == "embed" and isinstance(linear, QuantizedLinear):
            quantized = QuantizedEmbedding(linear, dtype)
        decoder.set_submodule(module, quantized)
        state.update(quantized.state_dict(prefix=f"{module}."))
        for stored in matrices:
            files.release(headers[stored.name])
        if progress is not None:
            progress(sum(headers[tensor.name].nbytes for tensor in matrices))
    decoder.load_state_dict(state, strict=True, assign=True)
    return_freed()
    return decoder.requires_grad_(False).eval()


def _fill(
    files: MappedFiles,
    headers: Mapping[str, TensorHeader],
    parts: Sequence[Expected],
    dtype: torch.dtype,
    new: New,
) -> Tensor:
    """One parameter of the core, in `new` memory, from the tensors that make it up."""
    first = parts[0]
    rows = sum(row.rows for part in parts for row in part.parts)
    columns = first.shape[:1] if first.transposed else first.shape[1:]
    filled = new((rows, *columns), dtype=dtype)
    for part in parts:
        mapped = files.tensor(headers[part.name])
        mapped = mapped.T if part.transposed else mapped
        filled[part.row : part.row + mapped.shape[0]] = mapped
        files.release(headers[part.name])
    return filled.add_(1) if first.plus_one else filled


def _round(
    files: MappedFiles,
    headers: Mapping[str, TensorHeader],
    parts: Sequence[Expected],
    scheme: PackScheme,
    bias: Tensor | None,
    device: torch.device,
    new: New,
) -> QuantizedLinear:
    """A module's matrix, rounded from the numbers of the file, whatever is computed in."""
    stored = reduce(torch.promote_types, {files.dtype(headers[part.name]) for part in parts})
    return quantize(_plain(files, headers, parts, stored, device), scheme, bias, new)


def _plain(
    files: MappedFiles,
    headers: Mapping[str, TensorHeader],
    parts: Sequence[Expected],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """A matrix to be read once; where nothing is to be done to it, the file's own pages."""
    if len(parts) == 1 and not parts[0].transposed:
        return files.tensor(headers[parts[0].name]).to(device=device, dtype=dtype)
    return _fill(files, headers, parts, dtype, partial(torch.empty, device=device))


def _unpack_parts(
    files: MappedFiles,
    headers: Mapping[str, TensorHeader],
    tensors: Sequence[Expected],
    dtype: torch.dtype,
) -> list[Unpacked | Tensor]:
    """The parts of a module, some of them packed, in row order."""
    rows: dict[int, list[Expected]] = {}
    for tensor in tensors:
        rows.setdefault(tensor.row, []).append(tensor)
    parts: list[Unpacked | Tensor] = []
    for _, stored in sorted(rows.items()):
        first = stored[0]
        if first.packing is None:
            parts.append(_plain(files, headers, stored, dtype, torch.device("cpu")))
            continue
        values: dict[Kind, Tensor] = {
            tensor.kind: files.tensor(headers[tensor.name]) for tensor in stored if tensor.kind
        }
        name = first.name.rpartition(".")[0]
        parts.append(unpack(name, values, first.packing, dtype))
    return parts
