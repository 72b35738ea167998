"""Stop texts: noticed even where they span tokens, and never shown, not even in part.

It knows nothing of tokens; it sees text as it comes.
"""

from collections.abc import Sequence


class StopFilter:
    """Lets text through as soon as it can no longer be the start of a stop text."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """What may be shown now, and whether a stop text has come (then nothing more will)."""
        self._held += text
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            shown, self._held = self._held[: min(found)], ""
            return shown, True
        cut = len(self._held) - self._possible_start()
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown, False

    def flush(self) -> str:
        """What was held back and turned out to be no stop text, once the text has ended."""
        shown, self._held = self._held, ""
        return shown

    def _possible_start(self) -> int:
        """The length of the longest end of the held text that a stop text begins with."""
        longest = max(map(len, self._stops), default=0)
        for length in range(min(longest - 1, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
