"""How a prompt shares the context out: system prompt, earlier turns, the last message, the rest.

It knows where the template puts the borders between them, and nothing of what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from llmcli.checkpoint.template import ChatTemplate, ConversationRefusedError
from llmcli.engine.overflow import Message, has_system

_PROBE = "qzjxkv"  # what no template writes by itself


@dataclass(frozen=True)
class Budget:
    """Tokens. `system`, `history` and `message` are the whole prompt, with what the template
    writes around each; `room` is what the context has left for the answer."""

    context: int
    system: int
    history: int
    message: int
    room: int


def measure(
    template: ChatTemplate, messages: Sequence[Message], ids: Sequence[int], context: int
) -> Budget:
    """The budget of a prompt, `ids`, that `messages` were rendered to, the question last."""
    start = 1 if has_system(messages) else 0
    system = _given_system(template, messages, ids) if start else default_system(template)
    system = min(system, len(ids))
    before = system
    if len(messages) - 1 > start:
        before = max(_before_last(template, messages, ids), system)
    return Budget(context, system, before - system, len(ids) - before, context - len(ids))


def default_system(template: ChatTemplate) -> int:
    """Tokens that the template puts before the first message of a conversation without a system
    prompt: its own one, if it has one."""
    system = {"role": "system", "content": _PROBE}
    user = {"role": "user", "content": _PROBE}
    both, alone = _encode(template, [system, user]), _encode(template, [system])
    plain = _encode(template, [user])
    turn = both[len(alone) :]
    if not alone or both[: len(alone)] != alone or plain[len(plain) - len(turn) :] != turn:
        return 0
    return len(plain) - len(turn)


def _given_system(template: ChatTemplate, messages: Sequence[Message], ids: Sequence[int]) -> int:
    alone = _encode(template, messages[:1])
    probe = _encode(template, [{"role": "system", "content": _PROBE}])
    if alone != probe and alone == [*ids[: len(alone)]]:
        return len(alone)
    # It writes the system prompt within the first question.
    without = _encode(template, messages[1:], prompt=True)
    return max(len(ids) - len(without), 0) if without else 0


def _before_last(template: ChatTemplate, messages: Sequence[Message], ids: Sequence[int]) -> int:
    history = _encode(template, messages[:-1])
    if history and history == [*ids[: len(history)]]:
        return len(history)
    # An answer is rendered otherwise when it is the last (its thinking may go): the border is where
    # another question would make a difference.
    other = _encode(template, [*messages[:-1], {**messages[-1], "content": _PROBE}], prompt=True)
    pairs = enumerate(zip(ids, other, strict=False))
    return next((place for place, (one, two) in pairs if one != two), len(ids))


def _encode(
    template: ChatTemplate, messages: Sequence[Message], *, prompt: bool = False
) -> list[int]:
    try:
        return template.encode(messages, add_generation_prompt=prompt)
    except ConversationRefusedError:  # it may want a question, or no system prompt
        return []
