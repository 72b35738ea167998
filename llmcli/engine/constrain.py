"""One answer under a grammar: which tokens may come next, and how it comes to an end in time.

It knows masks and the room that is left, and nothing of how tokens are drawn or become text.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from llmcli.core import kernels
from llmcli.core.sampling import Draw, Mask, apply_mask
from llmcli.engine.grammar import Grammar, Vocabulary, vocabulary
from llmcli.engine.session import Model
from llmcli.engine.thinking import TAGS, ThinkingFilter
from llmcli.engine.way_out import WayOut
from llmcli.errors import GenerationError, UsageError

# What the bits of a byte bar: 0 where one is set, else -inf.
_BARRIERS = torch.tensor([[byte >> bit & 1 for bit in range(8)] for byte in range(256)]).log()
# How much less likely (in ln) than the best of what is allowed a stop id may be to be a wish to
# end; and than the best of all, to be looked at.
_WISH, _HINT = 5.0, 12.0
# With so much more room than twice the way to the end, no single token can use it up.
_NEAR = 32


class ConstrainedAnswer:
    """Goes along with an answer, token by token.

    A stop id is allowed only where the grammar is satisfied. Before that a model that would rather
    end gives its wish to the token that leads there, and when the room comes to its end, tokens
    that would leave too little of it are refused: `shortened` says that it came to that.
    """

    def __init__(
        self,
        grammar: Grammar,
        vocabulary: Vocabulary,
        *,
        openings: Iterable[int] = (),
        thinking: bool = False,
    ) -> None:
        """`openings`: tokens that may begin a thought before the answer; `thinking`: the prompt
        has begun one. A thought is free, but for ending within it."""
        self.grammar, self._vocabulary = grammar, vocabulary
        self._openings, self._thinking = frozenset(openings), thinking
        self._stop_ids = torch.tensor(vocabulary.stop_ids, dtype=torch.int64)
        self._start = vocabulary.matcher(grammar)
        self._matcher = self._start.deep_copy()
        self._way_out = WayOut(vocabulary, json=grammar.kind == "json_schema")
        self._way: list[int] | None = None  # from here, where it is known
        self._look = math.inf  # the way is looked for once the room is down to this
        self._thought = 0  # tokens before the answer
        self._unpacked = b"", torch.empty(0)  # within a text the mask stays the same
        self.shortened = False

    @property
    def ended(self) -> bool:
        """Whether the grammar allows nothing more."""
        return not self._thinking and self._matcher.is_stopped()

    def matches(self, text: str) -> bool:
        """Whether the grammar is satisfied by just this text."""
        matcher, tokens = self._start.deep_copy(), self._vocabulary.tokens(text)
        return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()

    def choose(
        self, draw: Callable[[Mask], Draw], logits: Tensor, left: int, *, inside: bool
    ) -> Draw:
        """The next token, drawn from logits (vocab_size,) by `draw`. `left`: how many may come, it
        included; `inside`: whether the text so far ends within a thought."""
        way = self._way_in(left)
        with kernels.one_thread():
            mask = self._free(logits) if self._thinking and inside else self._mask(logits)
        found = draw(mask)
        before = self._matcher.deep_copy() if way is not None else self._matcher
        self.follow(found.token, inside=inside)
        if way is None or found.token in self._vocabulary.stop_ids or self._thinking:
            return found
        rest = way[1:] if found.token in way[:1] else self._way_out.of(self._matcher)
        if rest is None or len(rest) >= left:
            self._matcher, self.shortened = before, True
            found, rest = draw(Mask(_only(way[:1], logits))), way[1:]
            self._matcher.consume_token(found.token)
        self._way = rest
        return found

    def follow(self, token: int, *, inside: bool) -> None:
        """Take a token as the next one. Raises UsageError where the grammar does not allow it."""
        self._thinking = self._thinking and inside
        opened = token in self._openings
        self._openings, self._way = frozenset(), None
        if self._thinking or opened:
            self._thinking, self._thought = True, self._thought + 1
        elif token not in self._vocabulary.stop_ids and not self._matcher.consume_token(token):
            raise UsageError("the grammar of this answer does not allow that token there")

    def mask_after(self, tokens: Sequence[int]) -> Callable[[Tensor], Mask] | None:
        """What is allowed after the answer's first `tokens`; None within the thought before it."""
        if len(tokens) < self._thought:
            return None
        twin = ConstrainedAnswer(self.grammar, self._vocabulary)
        for token in tokens[self._thought :]:
            twin.follow(token, inside=False)
        return twin._mask

    def _free(self, logits: Tensor) -> Mask:
        barrier = torch.zeros(len(logits))
        barrier[[*self._vocabulary.stop_ids]] = -math.inf
        return Mask(barrier.to(logits.device))

    def _mask(self, logits: Tensor) -> Mask:
        bits = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            reason = self._matcher.get_error().splitlines()[0]
            raise GenerationError(f"the grammar cannot be followed any further: {reason}")
        if bits != self._unpacked[0]:
            packed = torch.frombuffer(bytearray(bits), dtype=torch.uint8).int()
            unpacked = _BARRIERS.index_select(0, packed).view(-1)[: len(logits)]
            self._unpacked = bits, unpacked.to(logits.device)
        barrier = self._unpacked[1]
        if self._openings:
            barrier = torch.maximum(barrier, _only(self._openings, logits))
        if self._matcher.is_accepting() or not self._wishes(logits, barrier):
            return Mask(barrier)
        ending = self._way_out.ending(self._matcher)
        return Mask(barrier, ending, self._vocabulary.stop_ids)

    def _wishes(self, logits: Tensor, barrier: Tensor) -> bool:
        """Whether the model would rather end than go on with what is allowed."""
        if not self._vocabulary.stop_ids:
            return False
        self._stop_ids = self._stop_ids.to(logits.device)
        stop = float(logits.index_select(0, self._stop_ids).max())
        if stop < float(logits.max()) - _HINT:
            return False
        return stop > float(apply_mask(logits, Mask(barrier)).max()) - _WISH

    def _way_in(self, left: int) -> list[int] | None:
        """The way to the end, where so little room is left that a token may be too much."""
        if left > self._look:
            return None
        way = self._way_out.of(self._matcher) if self._way is None else self._way
        if way is None or len(way) > left:
            self._look = left / 2
            return None
        near = 2 * len(way) + _NEAR
        self._look = max(near, (left + near) / 2)
        return way if left <= near else None


def constrained_answer(
    model: Model, grammar: Grammar, prompt_ids: Sequence[int], thinking: ThinkingFilter | None
) -> ConstrainedAnswer:
    """For the answer that follows `prompt_ids`; `thinking` tells a thought before it from it, if
    there may be one. Raises UsageError where grammar and vocabulary do not fit."""
    tokenizer = model.tokenizer
    openings = []
    if thinking is not None and not thinking.inside:
        end = "".join(map(tokenizer.label, prompt_ids[-8:]))
        marks = [mark for mark in TAGS if not any(close in end for close in mark.ends)]
        known = tokenizer.added_tokens
        openings = [known[mark.begin] for mark in marks if mark.begin in known]
    return ConstrainedAnswer(
        grammar,
        vocabulary(tokenizer, model.decoder.config.vocab_size, model.stop_ids),
        openings=openings,
        thinking=thinking is not None and thinking.inside,
    )


def _only(tokens: Iterable[int], logits: Tensor) -> Tensor:
    """A mask's barrier (vocab_size,) that lets just these through."""
    barrier = torch.full((len(logits),), -math.inf)
    barrier[[*tokens]] = 0
    return barrier.to(logits.device)
