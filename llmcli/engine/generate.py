"""Prompt ids in, a stream of Steps out: prefill once, then decode token by token.

It knows nothing of conversations or terminals.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from llmcli.core.cache import KVCache
from llmcli.core.model import Decoder
from llmcli.core.recorded import replayed, step
from llmcli.core.sampling import Draw, Mask, Sampler, entropy_bits
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.candidates import Candidate, candidates
from llmcli.engine.hardware import memory_failures
from llmcli.engine.limits import PREFILL_CHUNK, check_prompt
from llmcli.engine.prefix import HeldPrefix, Reuse
from llmcli.engine.session import Model
from llmcli.engine.stops import StopFilter
from llmcli.engine.thinking import ThinkingFilter
from llmcli.engine.timings import Clock, Timings

if TYPE_CHECKING:
    from llmcli.engine.constrain import ConstrainedAnswer
    from llmcli.engine.grammar import Grammar

FinishReason = Literal["stop", "length", "context", "interrupted"]
# The answer's tokens so far -> a prompt that leaves more room for it, or None.
Shorten = Callable[[Sequence[int]], list[int] | None]


@dataclass(frozen=True)
class Step:
    """One generated token. `text` is what became showable with it: perhaps nothing, never half a
    character. `logprob` is the logarithm of the model's own probability, before any sampling
    setting. `finish` says why this token is the last, and is None before. `thought` is as `text`,
    but of the thinking before the answer, to which the token belongs if it is `thinking`.
    Of the model's own probabilities, where they were asked for: `entropy`, in bits, and
    `candidates`, the likeliest tokens, best first."""

    token: int
    text: str
    logprob: float
    index: int
    finish: FinishReason | None
    thought: str = ""
    thinking: bool = False
    entropy: float | None = None
    candidates: tuple[Candidate, ...] = ()


@memory_failures("computing the text")
@torch.inference_mode()
def prefill(
    decoder: Decoder, ids: Sequence[int], cache: KVCache | None, *, chunk: int = PREFILL_CHUNK
) -> Tensor:
    """Run `ids`, after what the cache holds -> logits (vocab_size,) of the last one.

    In chunks, which bound the memory of activations; without a cache in one pass.
    """
    rows = torch.tensor(ids, dtype=torch.int64, device=decoder.device).unsqueeze(0)  # (1, T)
    for part in torch.split(rows, chunk if cache is not None else len(ids), dim=1):
        hidden = decoder.hidden(part, cache)
    return decoder.unembed(hidden[0, -1])


@memory_failures("computing the next token")
def decode(decoder: Decoder, token: int, cache: KVCache) -> Tensor:
    """Run one token after what the cache holds -> logits (vocab_size,) of what follows it."""
    logits = replayed(decoder, token, cache)
    if logits is None:
        with torch.inference_mode():
            logits = step(decoder, token, cache)
    return logits


class Generation:
    """One request. Iterate it once for its Steps; its results may be read at any time.

    With `held`, the tokens that it shares with the new prompt are not computed again, and it
    holds prompt and answer afterwards. With `use_cache` off every step recomputes the whole text.
    `started_ns` is when the user asked (`perf_counter_ns`), where that was before. With `thinking`,
    a thought before the answer is told from it; stop texts are looked for in the answer alone.
    `given` are the draws that the answer begins with: their Steps come first, and they are no more
    drawn than the prompt is. `shorten` is asked when the context is full; the prompt it gives takes
    the old one's place, and what follows it is computed as if it had been so from the start.
    With `grammar` the answer follows it, and a stop text ends it only where it is satisfied.
    Raises PromptError for a prompt without a token, or with no room left for one.
    """

    def __init__(
        self,
        model: Model,
        prompt_ids: Sequence[int],
        sampling: SamplingSpec,
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        held: HeldPrefix | None = None,
        use_cache: bool = True,
        started_ns: int | None = None,
        thinking: ThinkingFilter | None = None,
        measure_entropy: bool = False,
        given: Sequence[Draw] = (),
        shorten: Shorten | None = None,
        grammar: "Grammar | None" = None,
        n_candidates: int = 0,
    ) -> None:
        check_prompt(prompt_ids, model.context)
        for token in sampling.logit_bias:
            model.check_token(token)
        self.model, self.prompt_ids, self.sampling = model, list(prompt_ids), sampling
        self.token_ids: list[int] = []
        self.draws: list[Draw] = []
        self.candidates: dict[int, tuple[Candidate, ...]] = {}  # by the answer's tokens
        self.text = self.thought = ""
        self.finish_reason: FinishReason | None = None
        self.cached_tokens = 0
        self.reuse: Reuse | None = None
        self.cut = False  # before a stop text
        self._prompts = [(0, self.prompt_ids)]
        self._given, self._shorten = tuple(given), shorten
        self._shortening_ns = 0  # since the last pass; the prompt is another one if there are any
        self._held = held or (HeldPrefix(model.new_cache()) if use_cache else None)
        self._sampler = Sampler(sampling, model.decoder.device)
        self._thinking = thinking
        self.constrained: ConstrainedAnswer | None = None
        if grammar is not None:
            from llmcli.engine.constrain import constrained_answer  # llguidance: only if need be

            self.constrained = constrained_answer(model, grammar, self.prompt_ids, thinking)
        complete = self.constrained.matches if self.constrained is not None else None
        self._stops = StopFilter(stop, complete)
        self._stream = model.tokenizer.stream(thinking.spelled() if thinking else frozenset())
        self._measure_entropy, self._n_candidates = measure_entropy, n_candidates
        self._max_tokens = max_tokens
        self._clock = Clock(model.synchronize)
        self._clock.tokenized = self._clock.started
        if started_ns is not None:
            self._clock.started = started_ns

    def __iter__(self) -> Iterator[Step]:
        for draw in self._given:
            if self.constrained is not None:
                self.constrained.follow(draw.token, inside=self._inside())
            self._note(draw)
            step = self._step(draw, entropy=None)
            yield step
            if step.finish is not None:
                return
        logits = self._prefill()
        while True:
            draw = self._draw(logits)
            step = self._step(draw, entropy_bits(logits) if self._measure_entropy else None)
            if self._n_candidates:
                best = candidates(logits, self._n_candidates, self.model.tokenizer)
                step, self.candidates[step.index] = replace(step, candidates=best), best
            yield step
            if step.finish is not None:
                return
            logits = self._forward(draw.token)

    def prompt_of(self, index: int) -> list[int]:
        """The prompt from which the answer's token `index` was computed."""
        return next(ids for begin, ids in reversed(self._prompts) if begin <= index)

    def interrupt(self) -> tuple[str, str]:
        """End here, keeping what was said; returns what was still held back of the thought, and of
        the answer."""
        self.finish_reason = "interrupted"
        thought, rest = self._thinking.flush() if self._thinking else ("", "")
        rest = self._stops.push(rest)[0] + self._stops.flush()
        self.thought += thought
        self.text += rest
        return thought, rest

    def timings(self) -> Timings:
        """What it took so far."""
        cache = self._held.cache if self._held is not None else None
        return self._clock.report(
            load_s=self.model.load_s,
            prompt_tokens=len(self.prompt_ids) + len(self._given),
            cached_tokens=self.cached_tokens,
            kv_bytes=cache.used_bytes if cache is not None else 0,
            kv_bytes_per_token=self.model.kv_bytes_per_token,
            peak_device_bytes=self.model.peak_device_bytes(),
        )

    def _prefill(self) -> Tensor:
        start = perf_counter_ns()
        logits, self.reuse = self._compute([*self.prompt_ids, *self.token_ids])
        self.cached_tokens = self.reuse.reused if self.reuse is not None else 0
        self._clock.prefill = self._clock.since(start)
        return logits

    def _compute(self, ids: Sequence[int]) -> tuple[Tensor, Reuse | None]:
        """Logits of what follows `ids`; only what the cache does not hold is computed."""
        if self._held is None:
            return prefill(self.model.decoder, ids, None), None
        reuse = self._held.reuse(ids)
        new = ids[reuse.reused :]
        logits = prefill(self.model.decoder, new, self._held.cache)
        self._held.extend(new)
        return logits, reuse

    def _forward(self, token: int) -> Tensor:
        start = perf_counter_ns()
        if self._held is None or self._shortening_ns:
            logits, _ = self._compute([*self.prompt_of(len(self.token_ids)), *self.token_ids])
        else:
            logits = decode(self.model.decoder, token, self._held.cache)
            self._held.extend([token])
        self._clock.forwards.append(self._clock.since(start) + self._shortening_ns)
        self._shortening_ns = 0
        return logits

    def _draw(self, logits: Tensor) -> Draw:
        start = perf_counter_ns()
        prompt = self.prompt_of(len(self.token_ids))

        def drawn(mask: Mask | None = None) -> Draw:
            return self._sampler.draw(logits, prompt, self.token_ids, mask)

        if self.constrained is None:
            draw = drawn()
        else:
            inside, left = self._inside(), self._left(prompt)
            draw = self.constrained.choose(drawn, logits, left, inside=inside)
        self._clock.samples.append(self._clock.since(start))
        self._note(draw)
        return draw

    def _note(self, draw: Draw) -> None:
        self.draws.append(draw)
        self.token_ids.append(draw.token)

    def _step(self, draw: Draw, entropy: float | None) -> Step:
        start, index = perf_counter_ns(), len(self.token_ids) - 1
        inside = self._inside()
        thought, shown, by_text = "", "", False
        by_token = draw.token in self.model.stop_ids
        if not by_token:
            thought, shown, by_text = self._split(self._stream.push(draw.token))
        self.cut = by_text
        finish = self._reason(ended=by_token or by_text)
        if finish is not None and not by_text:
            more, rest = self._finished()
            thought, shown = thought + more, shown + rest
        self.thought += thought
        self.text += shown
        self.finish_reason = finish
        thinking = not shown and (inside or self._inside())
        if self._clock.first_answer is None:
            first = self._first_answer(index - len(self._given), shown, finish)
            self._clock.first_answer = first if first is None else max(first, 0)
        self._clock.detokenize += perf_counter_ns() - start - self._shortening_ns
        return Step(draw.token, shown, draw.logprob, index, finish, thought, thinking, entropy)

    def _left(self, prompt: Sequence[int]) -> int:
        """How many tokens may still come, as far as is known."""
        room = self.model.context - (0 if self._shorten else len(prompt))
        most = room if self._max_tokens is None else min(room, self._max_tokens)
        return most - len(self.token_ids)

    def _reason(self, *, ended: bool) -> FinishReason | None:
        """Why no token may follow, if so; `ended`: a stop id or a stop text has come."""
        if self.constrained is not None and (ended or self.constrained.ended):
            if not self.constrained.shortened:
                return "stop"
            limit = self.model.context - len(self.prompt_of(len(self.token_ids)))
            most = self._max_tokens
            return "length" if most is not None and most <= limit else "context"
        return "stop" if ended else self._full()

    def _full(self) -> FinishReason | None:
        """Why no token may follow, if so; where the context is full, unless room could be made."""
        if self._max_tokens is not None and len(self.token_ids) >= self._max_tokens:
            return "length"
        if len(self.prompt_of(len(self.token_ids))) + len(self.token_ids) < self.model.context:
            return None
        start = perf_counter_ns()
        shorter = self._shorten(self.token_ids) if self._shorten is not None else None
        if shorter is None:
            return "context"
        self._prompts.append((len(self.token_ids), shorter))
        self._shortening_ns = perf_counter_ns() - start
        return None

    def _inside(self) -> bool:
        return self._thinking is not None and self._thinking.inside

    def _first_answer(self, index: int, shown: str, finish: FinishReason | None) -> int | None:
        """The index of the first token that is not thinking, once that is known."""
        if self._thinking is None:
            return 0
        if not self._thinking.thought_at_all:
            return None if self._thinking.undecided and finish is None else 0
        return index if shown else None

    def _split(self, text: str) -> tuple[str, str, bool]:
        """What is now certain of the thought and the answer, and whether a stop text has come."""
        thought, text = self._thinking.push(text) if self._thinking else ("", text)
        return thought, *self._stops.push(text)

    def _finished(self) -> tuple[str, str]:
        """What was held back of the thought and the answer, once no token will follow."""
        thought, text, _ = self._split(self._stream.flush())
        more, rest = self._thinking.flush() if self._thinking else ("", "")
        return thought + more, text + self._stops.push(rest)[0] + self._stops.flush()
