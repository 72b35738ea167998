"""Stop texts: noticed even where they span tokens, and never shown, not even in part.

It knows nothing of tokens; it sees text as it comes.
"""

from collections.abc import Callable, Sequence


class StopFilter:
    """Lets text through as soon as it can no longer be the start of a stop text."""

    def __init__(self, stops: Sequence[str], complete: Callable[[str], bool] | None = None) -> None:
        """With `complete` a stop text is one only where it holds for all the text before."""
        self._stops = [stop for stop in stops if stop]
        self._complete = complete
        self._held = self._passed = ""

    def push(self, text: str) -> tuple[str, bool]:
        """What may be shown now, and whether a stop text has come (then nothing more will)."""
        self._held += text
        for place in self._places():
            if self._complete is None or self._complete(self._passed + self._held[:place]):
                shown, self._held = self._held[:place], ""
                return shown, True
        cut = len(self._held) - self._possible_start()
        shown, self._held = self._held[:cut], self._held[cut:]
        if self._complete is not None:
            self._passed += shown
        return shown, False

    def flush(self) -> str:
        """What was held back and turned out to be no stop text, once the text has ended."""
        shown, self._held = self._held, ""
        return shown

    def _places(self) -> list[int]:
        """Where stop texts begin in the held text."""
        starts = range(len(self._held))
        return [at for at in starts if any(self._held.startswith(s, at) for s in self._stops)]

    def _possible_start(self) -> int:
        """The length of the longest end of the held text that a stop text begins with."""
        longest = max(map(len, self._stops), default=0)
        for length in range(min(longest - 1, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
