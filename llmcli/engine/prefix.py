"""Prefix reuse: which of a new prompt's tokens the KV cache already holds.

It knows nothing of turns or templates: it compares ids.
"""

from collections.abc import Sequence

from llmcli.core.cache import KVCache


class HeldPrefix:
    """A KV cache and the ids whose keys and values it holds."""

    def __init__(self, cache: KVCache) -> None:
        self.cache = cache
        self.ids: list[int] = []

    def reuse(self, ids: Sequence[int]) -> int:
        """Truncate to what `ids` begins with, and return how many tokens that spares.

        The last id is always left to compute: its pass gives the logits to go on from.
        """
        # A pass that was cut short may have left the two at different lengths.
        most = min(len(self.ids), self.cache.length, len(ids) - 1)
        common = 0
        while common < most and self.ids[common] == ids[common]:
            common += 1
        self.cache.truncate(common)
        del self.ids[common:]
        return common

    def extend(self, ids: Sequence[int]) -> None:
        """Note ids whose pass has been run on the cache."""
        self.ids.extend(ids)
