"""What is known of one turn of a conversation; it knows nothing of how a turn comes about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from llmcli.engine.generate import Generation
from llmcli.engine.ledger import Ledger
from llmcli.engine.overflow import Drop, Message

if TYPE_CHECKING:
    from llmcli.engine.grammar import Grammar


class AnswerOptions(TypedDict, total=False):
    """How an answer is to be made, as `Generation` takes it."""

    max_tokens: int | None
    stop: Sequence[str]
    measure_entropy: bool
    grammar: "Grammar | None"
    n_candidates: int


@dataclass
class Turn:
    """A question being answered, or answered last. `messages` were rendered, the question last,
    without their `left_out` oldest turns; `drops` tells of those that went for this turn's sake,
    also while it was answered. Once that is over, `answer` is what was kept, and `ledger` is there
    unless there is no cache."""

    messages: list[Message]
    left_out: int
    generation: Generation
    drops: list[Drop] = field(default_factory=list)
    answer: Message | None = None
    ledger: Ledger | None = None


# All that a turn changes of a conversation: messages, turns left out, the turn itself.
State = tuple[list[Message], int, Turn | None]
