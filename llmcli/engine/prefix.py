"""Prefix reuse: which of a new prompt's tokens the KV cache already holds.

It knows nothing of turns or templates: it compares ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from llmcli.core.cache import KVCache


@dataclass(frozen=True)
class Reuse:
    """What became of the cache when a prompt came, in tokens: `reused` at its beginning are not
    computed again, `dropped` are those it held beyond them, `new` remain to be computed.
    `reused_kv_bytes` and `dropped_kv_bytes` are what keys and values of the two take."""

    reused: int
    new: int
    dropped: tuple[int, ...]
    reused_kv_bytes: int
    dropped_kv_bytes: int


class HeldPrefix:
    """A KV cache and the ids whose keys and values it holds."""

    def __init__(self, cache: KVCache) -> None:
        self.cache = cache
        self.ids: list[int] = []

    def reuse(self, ids: Sequence[int]) -> Reuse:
        """Truncate to what `ids` begins with.

        The last id is always left to compute: its pass gives the logits to go on from.
        """
        common = self._common(ids)
        dropped = tuple(self.ids[common : self.cache.length])
        per_token = self.cache.nbytes // self.cache.capacity
        self.cache.truncate(common)
        del self.ids[common:]
        return Reuse(
            reused=common,
            new=len(ids) - common,
            dropped=dropped,
            reused_kv_bytes=common * per_token,
            dropped_kv_bytes=len(dropped) * per_token,
        )

    def extend(self, ids: Sequence[int]) -> None:
        """Note ids whose pass has been run on the cache."""
        self.ids.extend(ids)

    def fork(self, ids: Sequence[int]) -> "HeldPrefix":
        """A copy of what `ids` begins with, to be computed on from there; this one stays."""
        common = self._common(ids)
        twin = HeldPrefix(self.cache.fork(common))
        twin.extend(self.ids[:common])
        return twin

    def _common(self, ids: Sequence[int]) -> int:
        # A pass that was cut short may have left the two at different lengths.
        most = min(len(self.ids), self.cache.length, len(ids) - 1)
        common = 0
        while common < most and self.ids[common] == ids[common]:
            common += 1
        return common
