"""The memory that weights are read into, and caches lie in."""

import ctypes
import mmap
from pathlib import Path

import pytest
import torch

from llmcli.core import memory
from llmcli.core.memory import HugePages

LIBC = ctypes.CDLL(None)
LIBC.malloc.restype, LIBC.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
LIBC.free.restype, LIBC.free.argtypes = None, [ctypes.c_void_p]


def test_tensors_lie_apart_and_aligned() -> None:
    weights = HugePages()
    tensors = [
        weights.empty((3, 5), dtype=torch.bfloat16),
        weights.empty((7,), dtype=torch.float32),
        weights.empty((2, 0), dtype=torch.float32),
        weights.empty((1,), dtype=torch.uint8),
        weights.empty((9, 33), dtype=torch.int32),
    ]
    for number, tensor in enumerate(tensors):
        tensor.fill_(number)
    assert [set(tensor.flatten().tolist()) for tensor in tensors] == [{0}, {1}, set(), {3}, {4}]
    assert [tuple(tensor.shape) for tensor in tensors] == [(3, 5), (7,), (2, 0), (1,), (9, 33)]
    assert all(tensor.data_ptr() % 64 == 0 for tensor in tensors if tensor.numel())


def test_blocks_are_joined_on_and_a_large_tensor_has_its_own() -> None:
    weights = HugePages(4096)
    sizes = (1000, 3000, 2000, 10_000, 500)
    held = [weights.hold(torch.full((size,), size, dtype=torch.int16)) for size in sizes]
    assert [set(tensor.tolist()) for tensor in held] == [{size} for size in sizes]


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="the system has no huge pages")
def test_it_is_asked_for_in_huge_pages() -> None:
    tensor = HugePages().empty((1024,), dtype=torch.float32)
    assert "hg" in flags_of(tensor.data_ptr())


def test_where_the_system_has_none_it_is_ordinary_memory(monkeypatch) -> None:
    monkeypatch.setattr(memory, "_GRANTED", False)
    held = HugePages().hold(torch.arange(6).view(2, 3))
    assert held.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.skipif(not hasattr(LIBC, "malloc_trim"), reason="not glibc")
def test_what_was_freed_goes_back_to_the_system() -> None:
    size, count = 64 << 10, 1024
    blocks = [LIBC.malloc(size) for _ in range(count)]
    above = LIBC.malloc(size)  # as long as it is there, those below it stay the process's
    for block in blocks:
        ctypes.memset(block, 1, size)
        LIBC.free(block)
    before = resident_bytes()
    memory.return_freed()
    LIBC.free(above)
    assert before - resident_bytes() > size * count // 2


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * mmap.PAGESIZE


def flags_of(address: int) -> list[str]:
    """What the kernel says of the mapping that an address is in."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            low, high = (int(end, 16) for end in first.split("-"))
            inside = low <= address < high
        elif inside and first == "VmFlags:":
            return rest
    raise AssertionError("no such mapping")
