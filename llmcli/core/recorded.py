"""One token's pass, recorded once and replayed: the same operations without Python between them.

Recording runs the forward pass as it stands and notes down each native operation. What differs
from token to token is handed in at replay: the embedded token, the rotations, the position and
where the cache lies. A pass in which torch computes anything itself cannot be replayed.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from llmcli.core import kernels, ops
from llmcli.core.cache import KVCache
from llmcli.core.captured import CapturedStep
from llmcli.core.model import Decoder

# torch's operations that move no number: they need not be replayed.
_WITHOUT_NUMBERS = {"empty", "empty_like", "view", "split", "split_with_sizes", "slice", "select"}
_WITHOUT_NUMBERS |= {"alias", "detach", "unsqueeze", "as_strided", "_unsafe_view"}


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

    def __init__(self, decoder: Decoder, ids: Tensor, cache: KVCache) -> None:
        """Runs ids (1, 1) after what the cache holds, which then holds it too: `logits` are those
        of what follows, (vocab_size,)."""
        self._decoder = decoder
        self._x = decoder.embedded(ids, cache.length).clone()
        self._rotations = decoder.rotations(cache.length, 1)
        for rotation in self._rotations.values():  # else replays would write to the shared table
            rotation.cos, rotation.sin = rotation.cos.clone(), rotation.sin.clone()
        sights = decoder.sights(cache.length, 1)
        cache.reserve(1)
        watch = _Watch()
        with watch, kernels.recording() as program:
            hidden = decoder.through_blocks(self._x, self._rotations, sights, cache)
            self._scores = decoder.scores(hidden)[0, 0]
        cache.advance(1)
        self._program, self._kept = program[0], watch.kept
        self._kept += [*decoder.parameters(), *decoder.buffers()]
        self.replayable = not watch.computed
        self.spent_ns: dict[str, int] = {}  # by the last replay, per kind of operation
        self.logits = decoder.finished(self._scores).clone()

    def replay(self, ids: Tensor, cache: KVCache) -> Tensor:
        """The same for other ids and another moment -> logits (vocab_size,)."""
        with kernels.one_thread():
            self._x.copy_(self._decoder.embedded(ids, cache.length))
            for rope, rotation in self._decoder.rotations(cache.length, 1).items():
                self._rotations[rope].cos.copy_(rotation.cos)
                self._rotations[rope].sin.copy_(rotation.sin)
            self.spent_ns = kernels.replay(self._program, cache)
            cache.advance(1)
            return self._decoder.finished(self._scores).clone()


def step(decoder: Decoder, ids: Tensor, cache: KVCache) -> Tensor:
    """Run ids (1, 1) after what the cache holds -> logits (vocab_size,) of what follows."""
    if decoder.captured is None and decoder.device.type == "cuda":
        decoder.captured = CapturedStep(decoder)
    logits = None
    if decoder.captured is not None and not torch.is_grad_enabled():
        logits = decoder.captured.run(ids, cache)
    elif ops.can_record(decoder.device, decoder.dtype):
        logits = _recorded(decoder, ids, cache)
    return decoder.unembed(decoder.hidden(ids, cache)[0, -1]) if logits is None else logits


def kernels_of(decoder: Decoder) -> str:
    """What ran `step` last: "cuda graph", "torch", or on the CPU native ones' instruction set."""
    if decoder.captured is not None and decoder.captured.replays:
        return "cuda graph"
    with torch.inference_mode():  # as in decoding
        return kernels.chosen() if ops.can_record(decoder.device, decoder.dtype) else "torch"


def _recorded(decoder: Decoder, ids: Tensor, cache: KVCache) -> Tensor | None:
    recorded = decoder.recorded
    if recorded is None:
        decoder.recorded = recorded = RecordedStep(decoder, ids, cache)
        return recorded.logits
    return recorded.replay(ids, cache) if recorded.replayable else None
