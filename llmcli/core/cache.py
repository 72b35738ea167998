"""The KV cache: keys and values of every position already computed, so that none is computed twice.

It owns `length`, from which positions derive; it knows nothing of which tokens it holds.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from llmcli.core.config import ModelConfig
from llmcli.core.memory import ALIGNMENT, HugePages

_SMALLEST = 64
_LARGE_LAYER = 4 << 20  # bytes: two huge pages
_SMALLEST_CAPTURED = 1024  # on a GPU, where growth moves what captured graphs have read


class KVCache:
    """Per layer keys and values of shape (B, K, capacity, D); grown by doubling.

    Doubling stops at `limit`, where given: the context's end needs no room beyond it. `capacity` is
    what fits at first.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        capacity: int | None = None,
        limit: int | None = None,
        batch: int = 1,
    ) -> None:
        self.length = 0
        self.limit = limit
        if capacity is None:
            capacity = _SMALLEST
            if torch.device(device).type == "cuda":
                capacity = min(_SMALLEST_CAPTURED, limit or _SMALLEST_CAPTURED)
        shape = (2, batch, config.n_kv_heads, capacity, config.d_head)
        self.d_head = config.d_head
        new = _allocator(shape, len(config.layers), dtype, torch.device(device))
        self._layers = [new() for _ in config.layers]
        self._table = self._addresses()

    @property
    def capacity(self) -> int:
        """Positions that fit before the next growth."""
        return self._layers[0].shape[3]

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(layer.nbytes for layer in self._layers)

    @property
    def used_bytes(self) -> int:
        """Bytes that hold keys and values of `length` positions."""
        return self.nbytes // self.capacity * self.length

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write keys and values (B, K, T, D) of the next T positions; return all of the layer's,
        (B, K, S, D). `length` moves only when `advance` is called, after the last layer: a pass
        that is cut short leaves the cache as it was."""
        stop = self.length + keys.shape[2]
        self.reserve(keys.shape[2])
        both = self._layers[layer]
        both[0, :, :, self.length : stop] = keys
        both[1, :, :, self.length : stop] = values
        return both[0, :, :, :stop], both[1, :, :, :stop]

    def write(
        self, layer: int, keys: Tensor, values: Tensor, position: Tensor, room: int
    ) -> tuple[Tensor, Tensor]:
        """The same for one position that is known on the device alone, `position` (1,), within what
        is reserved; returns the first `room` positions, (B, K, room, D)."""
        both = self._layers[layer]
        both[0].index_copy_(2, position, keys)
        both[1].index_copy_(2, position, values)
        return both[0, :, :, :room], both[1, :, :, :room]

    def blank(self, stop: int) -> None:
        """Make the memory from `length` up to `stop` zeros."""
        for both in self._layers:
            both[:, :, :, self.length : stop].zero_()

    def reserve(self, count: int) -> Tensor:
        """Make room for `count` more positions. Returns, for who writes them in place from `length`
        on, int64 (layers, 3): addresses of the keys and the values, and the capacity."""
        if self.length + count > self.capacity:
            self._grow(self.length + count)
            self._table = self._addresses()
        return self._table

    def advance(self, count: int) -> None:
        """Count `count` appended positions as held."""
        self.length += count

    def truncate(self, length: int) -> None:
        """Forget every position from `length` on; keeps the room."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate a cache of {self.length} positions to {length}")
        self.length = length

    def held(self) -> list[Tensor]:
        """Per layer the keys and values of every position held, (2, B, K, length, D): views."""
        return [both[:, :, :, : self.length] for both in self._layers]

    def restore(self, length: int, layers: Iterable[Tensor]) -> None:
        """Hold `length` positions as `held` gave them, of this cache or of one for the same model
        and dtype, in place of what is held now."""
        self.length = 0
        self.reserve(length)
        for both, given in zip(self._layers, layers, strict=True):
            both[:, :, :, :length] = given
        self.length = length

    def fork(self, length: int | None = None) -> "KVCache":
        """An independent copy of what is held, or of its first `length` positions, with no more
        room than those need."""
        twin = object.__new__(KVCache)
        twin.length, twin.limit = self.length, self.limit
        twin.d_head = self.d_head
        room = self.capacity if length is None else min(max(length + 1, _SMALLEST), self.capacity)
        new = self._allocator(room)
        twin._layers = [new().copy_(layer[:, :, :, :room]) for layer in self._layers]
        twin.truncate(twin.length if length is None else length)
        twin._table = twin._addresses()
        return twin

    def _addresses(self) -> Tensor:
        rows = [(both[0].data_ptr(), both[1].data_ptr(), both.shape[3]) for both in self._layers]
        return torch.tensor(rows, dtype=torch.int64)

    def _grow(self, needed: int) -> None:
        capacity = max(self.capacity * 2, needed)
        if self.limit is not None:
            capacity = max(min(capacity, self.limit), needed)
        new = self._allocator(capacity)
        for index, old in enumerate(self._layers):
            self._layers[index] = new()
            self._layers[index][:, :, :, : self.length] = old[:, :, :, : self.length]

    def _allocator(self, capacity: int) -> Callable[[], Tensor]:
        """Gives memory for layer after layer."""
        layer = self._layers[0]
        shape = (*layer.shape[:3], capacity, layer.shape[4])
        return _allocator(shape, len(self._layers), layer.dtype, layer.device)


def _allocator(
    shape: tuple[int, ...], n_layers: int, dtype: torch.dtype, device: torch.device
) -> Callable[[], Tensor]:
    """Small layers lie in one block, so that huge pages hold several. Large ones have one each, so
    that a cache that grows gives them back one by one."""
    if device.type != "cpu":
        return partial(torch.empty, shape, dtype=dtype, device=device)
    n_bytes = -(-math.prod(shape) * dtype.itemsize // ALIGNMENT) * ALIGNMENT
    pages = HugePages(n_bytes if n_bytes >= _LARGE_LAYER else n_bytes * n_layers)
    return partial(pages.empty, shape, dtype=dtype)
