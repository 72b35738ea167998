"""One token's pass, recorded once and replayed: the same operations without Python between them.

Recording runs the forward pass as it stands and notes down each native operation. What differs
from token to token is handed in at replay: the token, the position, where the cache lies and where
the logits are to go. A pass in which torch computes anything itself cannot be replayed.
"""

import sys
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from llmcli.core import kernels, ops
from llmcli.core.cache import KVCache
from llmcli.core.captured import CapturedStep
from llmcli.core.model import Decoder

# torch's operations that move no number: they need not be replayed. What is read out of a tensor is
# the token, which replays are given, or a constant.
_WITHOUT_NUMBERS = {"empty", "empty_like", "view", "split", "split_with_sizes", "slice", "select"}
_WITHOUT_NUMBERS |= {"alias", "detach", "unsqueeze", "as_strided", "_unsafe_view"}
_WITHOUT_NUMBERS |= {"item", "_local_scalar_dense", "lift_fresh", "detach_"}


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what torch allocates meanwhile, and notes whether it computed anything."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: list[Any] = []
        self.computed = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: for that torch would import its compiler in the midst of the first answer. It takes a
        second or two, and cannot be used any more in this process if Ctrl+C comes meanwhile."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        result = function(*arguments, **(options or {}))
        self.kept.append(result)
        self.computed |= function.overloadpacket.__name__ not in _WITHOUT_NUMBERS
        return result


class RecordedStep:
    """A decoder's pass over one token. Its weights must stay where they are."""

    def __init__(self, decoder: Decoder, token: int, cache: KVCache) -> None:
        """Runs the token after what the cache holds, which then holds it too: `logits` are those
        of what follows, (vocab_size,)."""
        self._decoder = decoder
        self._n_tokens = decoder.config.vocab_size
        self._n_positions = decoder.config.learned_positions or sys.maxsize
        self._turned_to(cache.length)
        sights, ids = decoder.sights(cache.length, 1), torch.tensor([[token]])
        cache.reserve(1)
        watch = _Watch()
        with watch, kernels.recording() as program:
            x = decoder.embedded(ids, cache.length)
            hidden = decoder.through_blocks(x, self._rotations, sights, cache)
            scores = decoder.scores(hidden)[0, 0]
        cache.advance(1)
        self._program, self._kept = program[0], watch.kept
        self._kept += [*decoder.parameters(), *decoder.buffers()]
        self.replayable = not watch.computed
        self.spent_ns: dict[str, int] = {}  # by the last replay, per kind of operation
        self.logits = decoder.finished(scores).clone()

    def replay(self, token: int, cache: KVCache) -> Tensor:
        """The same for another token and another moment -> logits (vocab_size,)."""
        position = cache.length
        if not 0 <= token < self._n_tokens or position >= self._n_positions:
            raise IndexError(f"token {token} at position {position}")
        if position not in self._positions:
            before = self._turns
            self._turned_to(position)
            for rope, addresses in self._turns.items():
                kernels.turn_to(self._program, before[rope], addresses)
        scores = torch.empty(self._n_tokens, dtype=torch.float32)
        self.spent_ns = kernels.replay(self._program, cache, token, scores)
        cache.advance(1)
        if not self._decoder.config.finishes_logits:
            return self._decoder.finished(scores)
        with kernels.one_thread():
            return self._decoder.finished(scores)

    def _turned_to(self, position: int) -> None:
        """Hold the rotations of a position, and note where they lie and for which others."""
        self._rotations = self._decoder.rotations(position, 1)
        self._turns = {
            rope: ops.from_zero(rotation.cos, rotation.sin, position)
            for rope, rotation in self._rotations.items()
        }
        held = [rotation.positions for rotation in self._rotations.values()]
        first = max((each.start for each in held), default=0)
        self._positions = range(first, min((each.stop for each in held), default=sys.maxsize))


def replayed(decoder: Decoder, token: int, cache: KVCache) -> Tensor | None:
    """`step` at its fastest, where a pass was recorded that can be replayed; else None, and nothing
    was run. It asks for no mode of torch, which does nothing in it."""
    recorded = decoder.recorded
    if recorded is None or not recorded.replayable or kernels.chosen() == "torch":
        return None
    return recorded.replay(token, cache)


def step(decoder: Decoder, token: int, cache: KVCache) -> Tensor:
    """Run one token after what the cache holds -> logits (vocab_size,) of what follows."""
    if ops.can_record(decoder.device, decoder.dtype) and decoder.captured is None:
        if decoder.recorded is None:
            decoder.recorded = RecordedStep(decoder, token, cache)
            return decoder.recorded.logits
        logits = replayed(decoder, token, cache)
        if logits is not None:
            return logits
    ids = torch.full((1, 1), token, dtype=torch.int64, device=decoder.device)
    if decoder.captured is None and decoder.device.type == "cuda":
        decoder.captured = CapturedStep(decoder)
    logits = None
    if decoder.captured is not None and not torch.is_grad_enabled():
        logits = decoder.captured.run(ids, cache)
    return decoder.unembed(decoder.hidden(ids, cache)[0, -1]) if logits is None else logits


def kernels_of(decoder: Decoder) -> str:
    """What ran `step` last: "cuda graph", "torch", or on the CPU native ones' instruction set."""
    if decoder.captured is not None and decoder.captured.replays:
        return "cuda graph"
    with torch.inference_mode():  # as in decoding
        return kernels.chosen() if ops.can_record(decoder.device, decoder.dtype) else "torch"
