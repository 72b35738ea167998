"""The native kernels, where the package was built with them: which are used, on how many threads,
and programs of them that were recorded. It knows nothing of what they compute.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from llmcli.core.cache import KVCache
from llmcli.errors import UsageError

try:
    from llmcli.core import _native
except ImportError:  # built without a compiler
    _native = None  # type: ignore[assignment]

native = _native  # for `ops`

# In the order of their numbers in native/operations.h.
_OPERATIONS = (
    "linear",
    "packed linear",
    "attention",
    "norm",
    "activation",
    "add",
    "gather",
    "embedding",
)

_chosen = "torch"


def available() -> list[str]:
    """Names that `use` takes on this machine, slowest first."""
    return ["torch", *(native.available() if native is not None else ())]


def chosen() -> str:
    """Which kernels run on the CPU: torch's own, or ours for an instruction set."""
    return _chosen


def use(name: str) -> None:
    """Choose them. Raises UsageError for a name that is not in `available()`."""
    global _chosen
    if name not in available():
        raise UsageError(f"no kernels {name!r} on this machine: there are {', '.join(available())}")
    if name != "torch":
        native.use(name)
    _chosen = name


def use_threads(count: int) -> None:
    """So many CPU threads, for torch and for the kernels."""
    torch.set_num_threads(count)
    if native is not None:
        native.set_threads(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch's own threads stay out of what happens meanwhile: between small operations they spin,
    and take the cores from the kernels' threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def recording() -> Iterator[list[object]]:
    """Note down the native operations that run meanwhile; the list then holds the program."""
    program: list[object] = []
    native.record()
    try:
        yield program
    finally:
        program.append(native.recorded())


def replay(program: object, cache: KVCache, token: int, result: Tensor) -> dict[str, int]:
    """Run the operations again, on the memory they had, for `token` at the position after the
    cache's; what the last of them, a linear map, gives goes to `result`.

    Returns the nanoseconds that each kind of operation took."""
    held = cache.reserve(1).data_ptr()
    spent = native.replay(program, held, cache.length, token, result.data_ptr())
    return dict(zip(_OPERATIONS, spent, strict=True))


def turn_to(program: object, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Attention that read its cosines and sines at the addresses `before` reads them at `after`."""
    native.turn_to(program, before[0], *after)


use(os.environ.get("LLMCLI_KERNELS") or available()[-1])
