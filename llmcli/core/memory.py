"""Memory for weights and caches, in huge pages where the system grants them.

A decode step reads all of it once: with pages of 4 KiB it waits for thousands of address
translations (https://docs.kernel.org/admin-guide/mm/transhuge.html). It knows nothing of models.
"""

import ctypes
import math
import mmap
import sys

import torch
from torch import Tensor

BLOCK = 64 << 20
ALIGNMENT = 64
_GRANTED = hasattr(mmap, "MADV_HUGEPAGE")


class HugePages:
    """Hands out CPU memory piece by piece, of blocks of so many bytes or more; a block goes when
    the last tensor in it does."""

    def __init__(self, block_bytes: int = BLOCK) -> None:
        self._block_bytes = block_bytes
        self._block: mmap.mmap | None = None
        self._used = 0

    def empty(self, shape: tuple[int, ...], *, dtype: torch.dtype) -> Tensor:
        """A tensor of this shape, its values not set."""
        count = math.prod(shape)
        if not _GRANTED or count == 0:
            return torch.empty(shape, dtype=dtype)
        n_bytes = count * dtype.itemsize
        if self._block is None or self._used + n_bytes > len(self._block):
            size = max(n_bytes, self._block_bytes)
            self._block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._block.madvise(mmap.MADV_HUGEPAGE)
            self._used = 0
        tensor = torch.frombuffer(self._block, dtype=dtype, count=count, offset=self._used)
        self._used += -(-n_bytes // ALIGNMENT) * ALIGNMENT
        return tensor.view(shape)

    def hold(self, tensor: Tensor) -> Tensor:
        """The same numbers, in this memory."""
        return self.empty(tuple(tensor.shape), dtype=tensor.dtype).copy_(tensor)


def return_freed() -> None:
    """Give the system back what was freed: glibc keeps it, below whatever is still in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
