"""From where an answer stands to where its grammar is satisfied: a short way, token by token.

It asks llguidance what is allowed and knows which marks end the parts of a JSON text; it knows
nothing of models.
"""

from collections.abc import Iterable, Iterator

from llguidance import LLMatcher

from llmcli.engine.grammar import Vocabulary

# What ends a part of a JSON text, and then what is soonest followed by an end.
_ENDS = (b'"', b"]", b"}", b",")
_NEXT = (*_ENDS, b":", b"0")
# In other texts: letters and digits first, what may open something last.
_OPENING = b"([{<"
_PRINTABLE = sorted(
    (bytes([byte]) for byte in range(0x20, 0x7F)),
    key=lambda character: (character in _OPENING, not character.isalnum(), character),
)
_LONGEST = {True: 1024, False: 64}


class WayOut:
    """Searches without trying everything: in a JSON text every step closes what is open or, where
    it cannot, begins the least; in other texts one character that satisfies the grammar is looked
    for first. It may find none, and what it finds need not be the shortest."""

    def __init__(self, vocabulary: Vocabulary, *, json: bool) -> None:
        self._json = json
        known = vocabulary.bytes_to_id
        self._ends, self._next, self._printable = (
            [known[spelled] for spelled in some if spelled in known]
            for some in (_ENDS, _NEXT, _PRINTABLE)
        )

    def of(self, matcher: LLMatcher) -> list[int] | None:
        """The tokens of the way; empty where the grammar is satisfied, None where none is found."""
        matcher, way = matcher.deep_copy(), list[int]()
        while not matcher.is_accepting():
            token = self._step(matcher)
            if token is None or len(way) == _LONGEST[self._json]:
                return None
            matcher.consume_token(token)
            way.append(token)
        return way

    def ending(self, matcher: LLMatcher) -> int | None:
        """The token that ends a part of the answer, and then the soonest the whole of it."""
        if not self._json:
            return self._satisfying(matcher, _members(matcher.compute_bitmask(), self._printable))
        possible = [*_members(matcher.compute_bitmask(), self._ends)]
        if len(possible) < 2:
            return possible[0] if possible else None
        ways = ((token, self.of(_after(matcher, token))) for token in possible)
        lengths = [(len(way), token) for token, way in ways if way is not None]
        return min(lengths)[1] if lengths else None

    def _step(self, matcher: LLMatcher) -> int | None:
        bits = matcher.compute_bitmask()
        if matcher.is_error():
            return None
        if self._json:
            likely = _members(bits, self._next)
        else:
            characters = [*_members(bits, self._printable)]
            satisfying = self._satisfying(matcher, characters)
            likely = iter([*characters] if satisfying is None else [satisfying])
        return next(likely, _lowest(bits))

    def _satisfying(self, matcher: LLMatcher, tokens: Iterable[int]) -> int | None:
        return next((token for token in tokens if _after(matcher, token).is_accepting()), None)


def _after(matcher: LLMatcher, token: int) -> LLMatcher:
    matcher = matcher.deep_copy()
    matcher.consume_token(token)
    return matcher


def _members(bits: bytes, tokens: Iterable[int]) -> Iterator[int]:
    return (token for token in tokens if bits[token >> 3] >> (token & 7) & 1)


def _lowest(bits: bytes) -> int | None:
    number = int.from_bytes(bits, "little")
    return (number & -number).bit_length() - 1 if number else None
