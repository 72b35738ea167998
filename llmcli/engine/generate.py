"""Prompt ids in, a stream of Steps out: prefill once, then decode token by token.

It knows nothing of conversations or terminals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from llmcli.core.cache import KVCache
from llmcli.core.model import Decoder
from llmcli.core.recorded import step
from llmcli.core.sampling import Draw, Mask, Sampler, best_logprobs, entropy_bits
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.hardware import memory_failures
from llmcli.engine.limits import check_prompt
from llmcli.engine.prefix import HeldPrefix
from llmcli.engine.session import Model
from llmcli.engine.stops import StopFilter
from llmcli.engine.thinking import ThinkingFilter
from llmcli.engine.timings import Clock, Timings

if TYPE_CHECKING:
    from llmcli.engine.grammar import Grammar

PREFILL_CHUNK = 512

FinishReason = Literal["stop", "length", "context", "interrupted"]
Candidate = tuple[int, float]  # a token, and the logarithm of the model's own probability for it


@dataclass(frozen=True)
class Step:
    """One generated token. `text` is what became showable with it: perhaps nothing, never half a
    character. `logprob` is the logarithm of the model's own probability, before any sampling
    setting. `finish` says why this token is the last, and is None before. `thought` is as `text`,
    but of the thinking before the answer, to which the token belongs if it is `thinking`.
    `entropy` is that of the model's own probabilities, in bits, and `candidates` are its likeliest
    tokens, best first, where they were asked for."""

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
@torch.inference_mode()
def decode(decoder: Decoder, token: int, cache: KVCache) -> Tensor:
    """Run one token after what the cache holds -> logits (vocab_size,) of what follows it."""
    row = torch.full((1, 1), token, dtype=torch.int64, device=decoder.device)
    return step(decoder, row, cache)


class Generation:
    """One request. Iterate it once for its Steps; its results may be read at any time.

    With `held`, the tokens that it shares with the new prompt are not computed again, and it
    holds prompt and answer afterwards. With `use_cache` off every step recomputes the whole text.
    `started_ns` is when the user asked (`perf_counter_ns`), where that was before. With `thinking`,
    a thought before the answer is told from it; stop texts are looked for in the answer alone.
    With `grammar` the answer follows it, and a stop text ends it only where that is satisfied.
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
        grammar: "Grammar | None" = None,
        n_candidates: int = 0,
    ) -> None:
        check_prompt(prompt_ids, model.context)
        for token in sampling.logit_bias:
            model.check_token(token)
        self.model, self.prompt_ids, self.sampling = model, list(prompt_ids), sampling
        self.token_ids: list[int] = []
        self.text = self.thought = ""
        self.finish_reason: FinishReason | None = None
        self.cached_tokens = 0
        self._held = held or (HeldPrefix(model.new_cache()) if use_cache else None)
        self._sampler = Sampler(sampling, model.decoder.device)
        self._thinking, self._constrained = thinking, None
        if grammar is not None:
            from llmcli.engine.constrain import constrained_answer  # llguidance: only if need be

            self._constrained = constrained_answer(model, grammar, self.prompt_ids, thinking)
        self._stops = StopFilter(stop, self._constrained and self._constrained.matches)
        self._stream = model.tokenizer.stream(thinking.spelled() if thinking else frozenset())
        self._measure_entropy, self._n_candidates = measure_entropy, n_candidates
        self._room = model.context - len(self.prompt_ids)
        self._limit = self._room if max_tokens is None else min(max_tokens, self._room)
        self._clock = Clock(model.synchronize)
        self._clock.tokenized = self._clock.started
        if started_ns is not None:
            self._clock.started = started_ns

    def __iter__(self) -> Iterator[Step]:
        logits = self._prefill()
        for index in range(self._limit):
            draw = self._draw(logits, self._limit - index)
            entropy = entropy_bits(logits) if self._measure_entropy else None
            step = self._step(draw, index, entropy)
            if self._n_candidates:
                best = tuple(best_logprobs(logits, self._n_candidates))
                step = replace(step, candidates=best)
            yield step
            if step.finish is not None:
                return
            logits = self._forward(draw.token)

    @property
    def satisfied(self) -> bool | None:
        """Whether the answer is what the grammar asks for; None where none was given."""
        return self._constrained and self._constrained.matches(self.text)

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
            prompt_tokens=len(self.prompt_ids),
            cached_tokens=self.cached_tokens,
            kv_bytes=cache.used_bytes if cache is not None else 0,
            kv_bytes_per_token=self.model.kv_bytes_per_token,
            peak_device_bytes=self.model.peak_device_bytes(),
        )

    def _prefill(self) -> Tensor:
        start = perf_counter_ns()
        if self._held is None:
            logits = prefill(self.model.decoder, self.prompt_ids, None)
        else:
            self.cached_tokens = self._held.reuse(self.prompt_ids)
            new = self.prompt_ids[self.cached_tokens :]
            logits = prefill(self.model.decoder, new, self._held.cache)
            self._held.extend(new)
        self._clock.prefill = self._clock.since(start)
        return logits

    def _forward(self, token: int) -> Tensor:
        start = perf_counter_ns()
        if self._held is None:
            logits = prefill(self.model.decoder, [*self.prompt_ids, *self.token_ids], None)
        else:
            logits = decode(self.model.decoder, token, self._held.cache)
            self._held.extend([token])
        self._clock.forwards.append(self._clock.since(start))
        return logits

    def _draw(self, logits: Tensor, left: int) -> Draw:
        start = perf_counter_ns()

        def drawn(mask: Mask | None = None) -> Draw:
            return self._sampler.draw(logits, self.prompt_ids, self.token_ids, mask)

        if self._constrained is None:
            draw = drawn()
        else:
            draw = self._constrained.choose(drawn, logits, left, inside=self._inside())
        self._clock.samples.append(self._clock.since(start))
        self.token_ids.append(draw.token)
        return draw

    def _step(self, draw: Draw, index: int, entropy: float | None) -> Step:
        start = perf_counter_ns()
        inside = self._inside()
        thought, shown, by_text = "", "", False
        by_token = draw.token in self.model.stop_ids
        if not by_token:
            thought, shown, by_text = self._split(self._stream.push(draw.token))
        finish: FinishReason | None = None
        ended, hurried = by_token or by_text, False
        if self._constrained is not None:
            ended, hurried = ended or self._constrained.ended, self._constrained.hurried
        if ended and not hurried:
            finish = "stop"
        elif ended or index + 1 == self._limit:
            finish = "context" if self._limit == self._room else "length"
        if finish is not None and not by_text:
            more, rest = self._finished()
            thought, shown = thought + more, shown + rest
        self.thought += thought
        self.text += shown
        self.finish_reason = finish
        thinking = not shown and (inside or self._inside())
        if self._clock.first_answer is None:
            self._clock.first_answer = self._first_answer(index, shown, finish)
        self._clock.detokenize += perf_counter_ns() - start
        return Step(draw.token, shown, draw.logprob, index, finish, thought, thinking, entropy)

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
