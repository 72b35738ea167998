"""One token's pass on a GPU, captured as a graph and replayed: no Python between its kernels.

What differs from token to token, the id and its position, lies in device memory that the graph
reads. Keys and values are written at that position, and attention looks through a mask over as many
positions as the next power of two: a graph knows fixed shapes only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from llmcli.core.attention import Sight
from llmcli.core.cache import KVCache
from llmcli.core.config import Rope
from llmcli.core.model import Decoder
from llmcli.core.rope import Rotation, table_of

Compute = Callable[[], Tensor]
Capture = Callable[[Compute, torch.device], Compute]

_SMALLEST_ROOM = 256  # positions: every doubling costs a capture
_WARM_UPS = 3


def cuda_graph(compute: Compute, device: torch.device) -> Compute:
    """Capture the kernels that `compute` starts; what comes back starts them all at once and gives
    the same memory as result. Raises RuntimeError for what cannot be captured."""
    stream, before = _side_stream(device), torch.cuda.current_stream(device)
    graph = torch.cuda.CUDAGraph()
    stream.wait_stream(before)
    with torch.cuda.stream(stream):  # and on its device
        for _ in range(_WARM_UPS):  # libraries set themselves up, which must not be captured
            compute()
        with torch.cuda.graph(graph, stream=stream):
            result = compute()
    before.wait_stream(stream)

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


@lru_cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Always the same one: libraries keep a workspace for every stream they have seen."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@dataclass
class _Graph:
    """A captured pass and what it is good for: attention over `room` positions of keys and values
    at these addresses, with longrope's frequencies for one side of the original context's end."""

    room: int
    past_original: bool
    memory: Tensor
    replay: Compute

    def serves(self, room: int, past_original: bool, memory: Tensor) -> bool:
        same = (self.room, self.past_original) == (room, past_original)
        return same and torch.equal(self.memory, memory)


class CapturedStep:
    """A decoder's pass over one token. One graph is kept: another cache, or this one grown, has it
    captured anew. The decoder's weights must stay where they are."""

    def __init__(self, decoder: Decoder, capture: Capture = cuda_graph) -> None:
        self._decoder, self._capture = decoder, capture
        layers = decoder.config.layers
        self._ropes = {layer.rope for layer in layers if layer.rope is not None}
        self._windows = {layer.window for layer in layers}
        self._ids = torch.zeros((1, 1), dtype=torch.int64, device=decoder.device)
        self._position = torch.zeros(1, dtype=torch.int64, device=decoder.device)
        self._tables: dict[Rope, Tensor] = {}
        self._graph: _Graph | None = None
        # The memory that holds zeros, in so much room, from that position on.
        self._blank: tuple[Tensor, int, int] | None = None
        self._refused = False  # by the device: then nothing is tried again

    @property
    def replays(self) -> bool:
        """Whether there is a graph: the last pass was its replay."""
        return self._graph is not None

    def run(self, ids: Tensor, cache: KVCache) -> Tensor | None:
        """Run ids (1, 1) after what the cache holds -> logits (vocab_size,) of what follows.

        None where this pass cannot be a graph; it has not been run then."""
        start, length = cache.length, cache.length + 1
        past = {rope.kind for rope in self._ropes if length > rope.original_context}
        if self._refused or "dynamic" in past:  # which changes all frequencies with every token
            self._graph = None
            return None
        memory = cache.reserve(1)
        room = min(max(1 << start.bit_length(), _SMALLEST_ROOM), cache.capacity)
        self._ids.copy_(ids)
        self._position.fill_(start)
        needed = room, "longrope" in past, memory
        if self._graph is None or not self._graph.serves(*needed):
            self._graph = None  # first, for its memory
            try:
                replay = self._capture(self._pass(cache, room), self._decoder.device)
            except RuntimeError:
                self._refused = True
                return None
            self._graph = _Graph(*needed, replay)
        if self._blank is None or self._blank[0] is not memory or self._blank[1:] != (room, start):
            # What no token was written to is masked, but 0 times NaN would still be NaN.
            cache.blank(room)
        logits = self._graph.replay().clone()
        cache.advance(1)
        self._blank = memory, room, length
        return logits

    def _pass(self, cache: KVCache, room: int) -> Compute:
        """The forward pass for the id and the position that lie in memory."""
        decoder, position, length = self._decoder, self._position, cache.length + 1
        tables = {rope: table_of(rope, length, room, decoder.device) for rope in self._ropes}
        self._tables = tables  # for as long as a graph reads them

        def compute() -> Tensor:
            x = decoder.embedded(self._ids, position)
            rotations = {
                rope: Rotation.at(position, table, decoder.dtype) for rope, table in tables.items()
            }
            sights = {window: Sight.at(position, room, window) for window in self._windows}
            return decoder.unembed(decoder.through_blocks(x, rotations, sights, cache)[0, -1])

        return compute
