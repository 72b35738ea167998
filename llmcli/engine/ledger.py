"""The ledger of prefix reuse: what a prompt took over from the cache, and why not more.

It knows ids, and the messages that two prompts were rendered from; it knows nothing of looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.engine.overflow import Message, has_system
from llmcli.engine.prefix import Reuse

Reason = Literal[
    "first_prompt",  # nothing was held
    "system_changed",
    "turns_dropped",  # the oldest, to make room
    "turn_changed",  # undone, edited, answered anew, forked, cleared
    "thinking_dropped",  # by the template, from an answer that is no longer the last
    "answer_cut",  # the last answer goes on in the cache behind a stop text
    "retokenised",  # the same text reads back as other tokens than the model wrote
    "history_rewritten",  # the template renders the same messages otherwise
]
_EXCERPT_TOKENS = 8


@dataclass(frozen=True)
class Ledger:
    """Tokens: `reused` were not computed again, `new` were computed, `dropped` lay in the cache
    beyond the reused ones. Of the new ones `repeated` belong to earlier messages.

    Where tokens were dropped, `reason` says why, and the two texts begin at token `parted_at`: what
    the cache held, and what the prompt has instead. A first prompt has a reason and no texts; a
    cache of which nobody knows what it was made of has texts and no reason.
    """

    reused: int
    new: int
    dropped: int
    repeated: int
    reused_kv_bytes: int
    dropped_kv_bytes: int
    reason: Reason | None = None
    parted_at: int | None = None
    held_text: str | None = None
    prompt_text: str | None = None


@dataclass(frozen=True)
class Origin:
    """What the tokens in a cache were made of: messages, of which the last is the answer if there
    was one; how many oldest turns were left out of them; the tokens of the prompt before the
    answer; whether thinking was told from the answer; whether a stop text cut it."""

    messages: tuple[Message, ...]
    left_out: int
    prompt_tokens: int
    thought: bool
    cut: bool


def settle(
    reuse: Reuse,
    ids: Sequence[int],
    messages: Sequence[Message],
    left_out: int,
    earlier_tokens: int,
    origin: Origin | None,
    tokenizer: Tokenizer,
) -> Ledger:
    """The ledger of the prompt `ids`, rendered from `messages` without `left_out` turns;
    `earlier_tokens` of them come before the question. `origin` is what the cache held before."""
    repeated = max(earlier_tokens - reuse.reused, 0) if reuse.dropped else 0
    counts = (reuse.reused, reuse.new, len(reuse.dropped), repeated)
    sizes = (reuse.reused_kv_bytes, reuse.dropped_kv_bytes)
    if not reuse.dropped:
        first = origin is None and not reuse.reused
        return Ledger(*counts, *sizes, reason="first_prompt" if first else None)
    rest, reason = ids[reuse.reused :], None
    if origin is not None:
        reason = _reason(reuse, rest, messages, left_out, origin, tokenizer)
    return Ledger(
        *counts,
        *sizes,
        reason=reason,
        parted_at=reuse.reused,
        held_text=_text(tokenizer, reuse.dropped[:_EXCERPT_TOKENS]).decode("utf-8", "replace"),
        prompt_text=_text(tokenizer, rest[:_EXCERPT_TOKENS]).decode("utf-8", "replace"),
    )


def _reason(
    reuse: Reuse,
    rest: Sequence[int],
    messages: Sequence[Message],
    left_out: int,
    origin: Origin,
    tokenizer: Tokenizer,
) -> Reason:
    before = origin.messages
    if _system(before) != _system(messages):
        return "system_changed"
    if tuple(messages[: len(before)]) != before:
        return "turn_changed"
    if left_out != origin.left_out:
        return "turns_dropped"
    if reuse.reused < origin.prompt_tokens:
        return "history_rewritten"
    held, now = _text(tokenizer, reuse.dropped), _text(tokenizer, rest)
    if now.startswith(held):
        return "retokenised"
    if origin.thought:
        return "thinking_dropped"
    return "answer_cut" if origin.cut else "history_rewritten"


def _system(messages: Sequence[Message]) -> str | None:
    return messages[0]["content"] if has_system(messages) else None


def _text(tokenizer: Tokenizer, ids: Sequence[int]) -> bytes:
    return b"".join(map(tokenizer.token_bytes, ids))
