"""Where to compute and in which numbers, and whether a model fits there.

It knows devices and sizes, and nothing of what is computed.
"""

import errno
from collections.abc import Sequence
from contextlib import ContextDecorator
from pathlib import Path

import torch

from llmcli.checkpoint.layout import Expected, by_target
from llmcli.checkpoint.quantization import OWN
from llmcli.checkpoint.resident import kept_narrow, resident_bytes
from llmcli.core import cpu, kernels, ops
from llmcli.engine.folder import CheckedFolder
from llmcli.errors import OutOfMemoryError, UsageError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_STORED = {"F32": "fp32", "BF16": "bf16", "F16": "fp16"}

GIB = 1024**3

# A model with fewer parameters computes a token faster than it hands work to a second thread.
SMALL_MODEL = 8_000_000
_ALL_THREADS = torch.get_num_threads()


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` -> a device that is there. Raises UsageError otherwise."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cpu" and not index:
        return torch.device("cpu")
    if kind != "cuda" or (index and not index.isdecimal()) or name.endswith(":"):
        raise UsageError(f"--device must be auto, cpu, cuda or cuda:N, not {name!r}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        raise UsageError(f"--device {name}: this machine has {count} CUDA devices")
    return torch.device("cuda", int(index or 0))


def choose_threads(asked: int | None, n_parameters: int) -> int:
    """CPU threads: as many as asked for, else one for a small model and all physical cores for
    others."""
    return asked or (1 if n_parameters < SMALL_MODEL else _ALL_THREADS)


def choose_dtype(name: str, stored: str, device: torch.device, n_parameters: int) -> torch.dtype:
    """`auto` is the `stored` dtype ("BF16", ...) where the device is fast in it, else fp32; and
    fp32 for a small model on the CPU, whose weights stay in the cache: half of them is no gain."""
    if name == "auto":
        small = device.type == "cpu" and n_parameters < SMALL_MODEL
        own = "fp32" if small else _STORED.get(stored, "fp32")
        return DTYPES[own] if own in fast_dtypes(device) else torch.float32
    if name not in DTYPES:
        raise UsageError(f"--dtype must be auto, {', '.join(DTYPES)}, not {name!r}")
    return DTYPES[name]


def fast_dtypes(device: torch.device) -> frozenset[str]:
    """The dtypes in which nothing is lost against fp32: the device has arithmetic of its own, or,
    on the CPU, kernels of ours read them and compute in fp32."""
    if device.type == "cuda":
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return frozenset({"fp32", "fp16", "bf16"} if bf16 else {"fp32", "fp16"})
    return cpu.native_dtypes() | ({"bf16"} if kernels.chosen() != "torch" else set())


def refuse_if_too_large(checked: CheckedFolder, dtype: torch.dtype, device: torch.device) -> None:
    """Raises OutOfMemoryError, with the numbers, where the weights alone do not fit."""
    needed = _needed_bytes(checked, dtype, device)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory_bytes()
    if free is not None and needed > free:
        scheme = checked.scheme
        kind = str(dtype).removeprefix("torch.") if scheme is None else scheme.label
        raise OutOfMemoryError(
            f"{checked.name}: the weights take {needed / GIB:.1f} GiB in {kind}, "
            f"and {free / GIB:.1f} GiB are free on {device}",
            hint=_way_out(checked, dtype, device, free),
        )


def _way_out(checked: CheckedFolder, dtype: torch.dtype, device: torch.device, free: int) -> str:
    """The least change that would make it fit."""
    half = _needed_bytes(checked, torch.bfloat16, device)
    if checked.scheme is None and dtype == torch.float32 and half <= free:
        return "try --dtype bf16"
    if checked.description.scheme is None:
        for quant, scheme in OWN.items():
            rounded = checked.rounded_to(quant)
            if scheme != checked.scheme and _needed_bytes(rounded, dtype, device) <= free:
                return f"try --quant {quant}"
    return "try a smaller model"


def _needed_bytes(checked: CheckedFolder, dtype: torch.dtype, device: torch.device) -> int:
    """All weights, and what the module that takes most takes besides while it is loaded."""
    widens = ops.widens(device, dtype)
    narrow = kept_narrow(checked.expected, checked.headers) if widens else frozenset()
    resident = resident_bytes(checked.expected, dtype.itemsize, narrow)
    groups = by_target(checked.expected).values()
    return resident + max(
        sum(_scratch_bytes(checked, part, parts) for part in parts) for parts in groups
    )


def _scratch_bytes(checked: CheckedFolder, tensor: Expected, parts: Sequence[Expected]) -> int:
    if tensor.packing is None:
        return 0
    if tensor.rounding is None:
        return tensor.packing.scratch_bytes
    # A matrix that lies in the file as it is computed with needs no copy to be rounded.
    copied = len(parts) > 1 or tensor.transposed
    return checked.headers[tensor.name].nbytes if copied else 0


class memory_failures(ContextDecorator):
    """Memory that runs out on the way, on whatever device, is told as an OutOfMemoryError."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and _ran_out_of_memory(error):
            raise OutOfMemoryError(
                f"memory ran out while {self._doing}",
                hint="a shorter text takes less, and so does --dtype bf16",
            ) from error


def _ran_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # On the CPU, torch has a text of its own but no class.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def available_memory_bytes() -> int | None:
    """Memory that this process may still take: the system's, within its cgroup's limit."""
    room = [value for value in (_system_available(), _cgroup_available()) if value is not None]
    return min(room, default=None)


def _system_available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _cgroup_available() -> int | None:
    root = Path("/sys/fs/cgroup")
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return int((root / limit).read_text()) - int((root / usage).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None
