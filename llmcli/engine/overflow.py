"""What a conversation does when the context is full: whole turns go, the oldest first.

It knows messages, and of tokens only their number. The system prompt is no turn, and never goes.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Message = dict[str, str]
Overflow = Literal["stop", "drop-oldest", "shift"]

MOST_ROOM = 512
KEPT_SHARE = 0.75


@dataclass(frozen=True)
class Drop:
    """`turns` that a prompt lacks from now on, oldest first, with their `questions`; it is `tokens`
    shorter for it. `at` is the index of the answer's token that then came next: 0 before it."""

    turns: int
    tokens: int
    questions: tuple[str, ...]
    at: int


def answer_room(context: int, max_tokens: int | None) -> int:
    """Tokens to be left for an answer: an eighth of the context, but no more than 512, and no more
    than it may have."""
    room = max(min(context // 8, MOST_ROOM), 1)
    return room if max_tokens is None else min(room, max_tokens)


def has_system(messages: Sequence[Message]) -> bool:
    """Whether they begin with a system prompt."""
    return bool(messages) and messages[0]["role"] == "system"


def without_oldest(messages: Sequence[Message], turns: int) -> list[Message]:
    """The messages without that many of their oldest turns. A turn begins with a question."""
    if turns == 0:
        return [*messages]
    system = messages[:1] if has_system(messages) else []
    starts = [*_starts(messages), len(messages)]
    return [*system, *messages[starts[turns] :]]


def turns_to_drop(
    messages: Sequence[Message], already: int, most: int, count: Callable[[list[Message]], int]
) -> int:
    """How many of the oldest turns have to go, more than `already`, until what is left `count`s no
    more than `most` tokens; all but the last question where nothing does.

    Where that is reached, three quarters of `most` are aimed at, but not for the price of the turn
    before the question: every drop has the cache computed anew from there on, and one for each
    question would spare nothing of it ever again.
    """
    n_turns = len(_starts(messages))

    def fewest(most: float) -> int:
        choices = range(already + 1, n_turns)
        place = bisect_left(
            choices, True, key=lambda turns: count(without_oldest(messages, turns)) <= most
        )
        return choices[place] if place < len(choices) else max(n_turns - 1, already)

    return max(fewest(most), min(fewest(KEPT_SHARE * most), n_turns - 2))


def dropped_questions(messages: Sequence[Message], already: int, turns: int) -> tuple[str, ...]:
    """What the turns from `already` up to `turns` began with."""
    return tuple(messages[start]["content"] for start in _starts(messages)[already:turns])


def _starts(messages: Sequence[Message]) -> list[int]:
    return [place for place, message in enumerate(messages) if message["role"] == "user"]
