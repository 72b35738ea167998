"""Logits -> the next token: stages as pure functions, and the Sampler that applies them in order.

penalties, bias, mask, temperature, top-k, top-p, min-p, draw. It knows nothing of text or models.
Every stage takes and returns logits (vocab_size,) in fp32; a token that a stage rules out has
the logit -inf. Ties are broken by the lower id, so that the same logits always give the same token.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llmcli.core import kernels, ops
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.errors import GenerationError

FLOAT = torch.finfo(torch.float32)
# A nucleus is rarely larger, and finding this many best is far cheaper than sorting them all.
_NUCLEUS = 1024
NEVER = -100.0  # a bias this low forbids a token, as in the well-known HTTP API
FILTERS = ("temperature", "top_k", "top_p", "min_p")


@dataclass(frozen=True)
class Draw:
    """The chosen token and the logarithm of the model's own probability for it."""

    token: int
    logprob: float


@dataclass(frozen=True)
class Mask:
    """Which tokens a grammar allows: `barrier` (vocab_size,) is 0 for them, -inf for others. Where
    the answer may not end yet, `ending` may be the token that leads there: it takes over from
    `stop_ids`."""

    barrier: Tensor
    ending: int | None = None
    stop_ids: Sequence[int] = ()


def penalize_repetition(logits: Tensor, seen: Sequence[int], penalty: float) -> Tensor:
    """Make the tokens in `seen` less likely, however often each occurs."""
    ids = _beside(logits, list(set(seen)))
    old = logits[ids]
    return logits.index_put((ids,), torch.where(old > 0, old / penalty, old * penalty))


def penalize_counts(
    logits: Tensor, answer: Sequence[int], frequency: float, presence: float
) -> Tensor:
    """Subtract `frequency` x count + `presence` from every token in `answer`."""
    counts = Counter(answer)
    ids = _beside(logits, list(counts))
    penalties = _beside(logits, list(counts.values())) * frequency + presence
    return logits.index_put((ids,), logits[ids] - penalties)


def add_bias(logits: Tensor, bias: dict[int, float]) -> Tensor:
    """Add each token's bias; -100 and below forbid it."""
    ids = _beside(logits, list(bias))
    values = [-math.inf if value <= NEVER else value for value in bias.values()]
    return logits.index_put((ids,), logits[ids] + _beside(logits, values))


def apply_mask(logits: Tensor, mask: Mask) -> Tensor:
    """Rule out all that is not allowed; the probability of the stop ids goes to `ending`."""
    if mask.ending is not None:
        both = logits[_beside(logits, [mask.ending, *mask.stop_ids])]
        place = _beside(logits, [mask.ending])
        logits = logits.index_put((place,), torch.logsumexp(both, dim=0))
    return logits + mask.barrier


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the `k` highest logits, exactly: among equals the lowest ids."""
    if k >= logits.numel():
        return logits
    kept = torch.full_like(logits, -math.inf)
    ids = best_ids(logits, k)
    kept[ids] = logits[ids]
    return kept


def best_ids(logits: Tensor, k: int) -> Tensor:
    """The ids of the `k` highest logits, fewer than there are, in rising order."""
    if not _at_hand(logits):
        return logits.sort(descending=True, stable=True).indices[:k].sort().values
    values, ids = logits.topk(k)
    above = ids[values > values[-1]]
    equal = (logits == values[-1]).nonzero().squeeze(1)[: k - len(above)]
    return torch.cat((above, equal)).sort().values


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Nucleus sampling (arXiv:1904.09751): keep the fewest tokens whose probabilities reach `p`."""
    probabilities = torch.softmax(logits, dim=0)
    if not _at_hand(logits):
        best, ids = probabilities.sort(descending=True, stable=True)
        ruled_out = best.cumsum(0) - best >= p
        return logits.masked_fill(ruled_out.scatter(0, ids, ruled_out), -math.inf)
    best = probabilities.topk(min(_NUCLEUS, len(logits))).values
    if best.sum() < p:
        best = probabilities.sort(descending=True).values
    before = best.cumsum(0) - best
    return keep_top_k(logits, max(int((before < p).sum()), 1))


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep tokens at least `p` times as probable as the best (arXiv:2407.01082)."""
    return torch.where(logits < logits.max() + math.log(p), -math.inf, logits)


@torch.inference_mode()
def best_logprobs(logits: Tensor, k: int) -> list[tuple[int, float]]:
    """The `k` likeliest tokens with the logarithms of the model's own probabilities for them, best
    first, of equals the lower id; all tokens where there are no more."""
    logits = logits.float()
    ids = best_ids(logits, min(k, len(logits)))
    _, _, total = ops.survey(logits)  # as in `Sampler.draw`: to the last bit the same
    found = zip(ids.tolist(), logits[ids].tolist(), strict=True)
    return [(token, logit - total) for token, logit in sorted(found, key=lambda one: -one[1])]


def entropy_bits(logits: Tensor) -> float:
    """How undecided the model is: the entropy of its own probabilities, in bits."""
    return float(torch.special.entr(torch.softmax(logits.float(), dim=0)).sum()) / math.log(2)


def steer(
    spec: SamplingSpec,
    logits: Tensor,
    prompt: Sequence[int],
    answer: Sequence[int],
    mask: Mask | None = None,
) -> Iterator[tuple[str, Tensor]]:
    """The stages before the temperature, in order: the name of each and the logits it leaves,
    which are the very same tensor where the spec leaves it off. The mask is one where there is one.
    """
    if spec.repetition_penalty != 1 and spec.repeat_last_n != 0:
        seen = [*prompt, *answer]
        seen = seen if spec.repeat_last_n < 0 else seen[-spec.repeat_last_n :]
        if seen:
            logits = penalize_repetition(logits, seen, spec.repetition_penalty)
    if answer and (spec.frequency_penalty or spec.presence_penalty):
        logits = penalize_counts(logits, answer, spec.frequency_penalty, spec.presence_penalty)
    yield "penalties", logits
    logits = add_bias(logits, spec.logit_bias) if spec.logit_bias else logits
    yield "bias", logits
    if mask is not None:
        yield "mask", apply_mask(logits, mask)


def narrow(
    spec: SamplingSpec, logits: Tensor, peak: float | Tensor
) -> Iterator[tuple[str, Tensor]]:
    """The stages from the temperature on, above 0, for logits of which `peak` is the largest."""
    # The best is moved to 0 first: a tiny temperature then gives -inf, never NaN. One that fp32 has
    # no number for would be 0 or inf, and NaN after all.
    logits = (logits - peak) / min(max(spec.temperature, FLOAT.tiny), FLOAT.max)
    yield "temperature", logits
    logits = keep_top_k(logits, spec.top_k) if spec.top_k else logits
    yield "top_k", logits
    logits = keep_top_p(logits, spec.top_p) if spec.top_p < 1 else logits
    yield "top_p", logits
    yield "min_p", keep_min_p(logits, spec.min_p) if spec.min_p else logits


def trace(
    spec: SamplingSpec,
    logits: Tensor,
    prompt: Sequence[int],
    answer: Sequence[int],
    mask: Mask | None = None,
) -> dict[str, Tensor]:
    """What each stage leaves, in order: first the model's own logits (vocab_size,), as "model"; the
    softmax of the last is what `Sampler` draws from. At temperature 0 that is the likeliest alone.
    """
    stages = {"model": logits.float()}
    stages.update(steer(spec, stages["model"], prompt, answer, mask))
    allowed = stages[next(reversed(stages))]
    if spec.temperature == 0:
        return stages | dict.fromkeys(FILTERS, keep_top_k(allowed, 1))
    return stages | dict(narrow(spec, allowed, allowed.max()))


def _at_hand(logits: Tensor) -> bool:
    """Whether Python may look at numbers made of the logits. For a GPU's it would have to wait, so
    there nothing may decide what is computed next, or how many numbers there are."""
    return logits.is_cpu


def _beside(logits: Tensor, values: list[int] | list[float]) -> Tensor:
    """`values` where the logits are; a GPU fetches them when it comes to it."""
    made = torch.tensor(values)
    return made if logits.is_cpu else made.pin_memory().to(logits.device, non_blocking=True)


def _check(peak: float, answer: Sequence[int], *, steered: bool = False) -> None:
    if not math.isfinite(peak):
        fault = "no token is allowed" if steered else f"the model produced {peak}"
        raise GenerationError(f"{fault} at token {len(answer)}")


class Sampler:
    """Draws tokens by one spec, with a random stream of its own, on the device of the logits."""

    def __init__(self, spec: SamplingSpec, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self._likeliest = spec.temperature == 0 and not spec.steers
        self._random = torch.Generator(device)
        if spec.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(spec.seed)

    def draw(
        self,
        logits: Tensor,
        prompt: Sequence[int],
        answer: Sequence[int],
        mask: Mask | None = None,
    ) -> Draw:
        """Choose the token that follows `prompt` + `answer` from logits (vocab_size,).

        Raises GenerationError where the logits hold NaN or nothing is left to choose from.
        """
        if self._likeliest and mask is None and _at_hand(logits):
            best, peak, total = ops.survey(logits.float())
            _check(peak, answer)
            return Draw(best, peak - total)
        return self._draw(logits.float(), prompt, answer, mask)

    @torch.inference_mode()
    def _draw(
        self, logits: Tensor, prompt: Sequence[int], answer: Sequence[int], mask: Mask | None
    ) -> Draw:
        if not _at_hand(logits):
            found = self.drawn(logits, prompt, answer, mask).tolist()  # one transfer
            token, logprob, peak, allowed_peak = found
            _check(peak, answer)
            _check(allowed_peak, answer, steered=True)
            return Draw(int(token), logprob)
        with kernels.one_thread():
            best, peak, total = ops.survey(logits)
            _check(peak, answer)
            allowed = self._steer(logits, prompt, answer, mask)
            if allowed is not logits:
                peak = float(allowed.max())
                _check(peak, answer, steered=True)
            if self.spec.temperature == 0:
                token = best if allowed is logits else int(allowed.argmax())
            else:
                token = int(self._choose(allowed, peak))
        return Draw(token, float(logits[token]) - total)

    def drawn(
        self,
        logits: Tensor,
        prompt: Sequence[int],
        answer: Sequence[int],
        mask: Mask | None = None,
    ) -> Tensor:
        """The same on the device, where nobody looks -> (4,) in fp64: the token, its logprob, the
        largest logit before and after penalties, bias and mask."""
        allowed = self._steer(logits, prompt, answer, mask)
        peaks = torch.stack((logits.max(), allowed.max()))
        greedy = self.spec.temperature == 0
        token = allowed.argmax(0, keepdim=True) if greedy else self._choose(allowed, peaks[1:])
        logprob = logits.gather(0, token).double() - torch.logsumexp(logits, dim=0)
        return torch.cat((token.double(), logprob, peaks.double()))

    def _choose(self, logits: Tensor, peak: float | Tensor) -> Tensor:
        """Draw by the probabilities that the filters leave -> (1,)."""
        spec, ids = self.spec, None
        if 0 < spec.top_k < len(logits):  # what top-k rules out need not be looked at again
            ids = best_ids(logits, spec.top_k)
            logits = logits[ids]
        *_, (_, logits) = narrow(spec, logits, peak)
        reach = torch.softmax(logits, dim=0).double().cumsum(0)
        place = torch.rand(1, dtype=torch.float64, generator=self._random, device=reach.device)
        # The first whose probability lies beyond the place: never one of probability 0.
        index = torch.searchsorted(reach, place * reach[-1], right=True).clamp(max=len(reach) - 1)
        return index if ids is None else ids.gather(0, index)

    def _steer(
        self, logits: Tensor, prompt: Sequence[int], answer: Sequence[int], mask: Mask | None
    ) -> Tensor:
        *_, (_, logits) = steer(self.spec, logits, prompt, answer, mask)
        return logits
