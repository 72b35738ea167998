"""Logits -> the next token: stages as pure functions, and the Sampler that applies them in order.

penalties, bias, temperature, top-k, top-p, min-p, draw. It knows nothing of text or of models.
Every stage takes and returns logits (vocab_size,) in fp32; a token that a stage rules out has
the logit -inf. Ties are broken by the lower id, so that the same logits always give the same token.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llmcli.core import ops
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.errors import GenerationError

FLOAT = torch.finfo(torch.float32)
# A nucleus is rarely larger, and finding this many best is far cheaper than sorting them all.
_NUCLEUS = 1024
NEVER = -100.0  # a bias this low forbids a token, as in the well-known HTTP API


@dataclass(frozen=True)
class Draw:
    """The chosen token and the logarithm of the model's own probability for it."""

    token: int
    logprob: float


def penalize_repetition(logits: Tensor, seen: Sequence[int], penalty: float) -> Tensor:
    """Make the tokens in `seen` less likely, however often each occurs."""
    ids = torch.tensor(list(set(seen)))
    old = logits[ids]
    return logits.index_put((ids,), torch.where(old > 0, old / penalty, old * penalty))


def penalize_counts(
    logits: Tensor, answer: Sequence[int], frequency: float, presence: float
) -> Tensor:
    """Subtract `frequency` x count + `presence` from every token in `answer`."""
    counts = Counter(answer)
    ids = torch.tensor(list(counts))
    penalties = torch.tensor(list(counts.values())) * frequency + presence
    return logits.index_put((ids,), logits[ids] - penalties)


def add_bias(logits: Tensor, bias: dict[int, float]) -> Tensor:
    """Add each token's bias; -100 and below forbid it."""
    ids = torch.tensor(list(bias))
    values = [-math.inf if value <= NEVER else value for value in bias.values()]
    return logits.index_put((ids,), logits[ids] + torch.tensor(values))


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
    values, ids = logits.topk(k)
    above = ids[values > values[-1]]
    equal = (logits == values[-1]).nonzero().squeeze(1)[: k - len(above)]
    return torch.cat((above, equal)).sort().values


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Nucleus sampling (arXiv:1904.09751): keep the fewest tokens whose probabilities reach `p`."""
    probabilities = torch.softmax(logits, dim=0)
    best = probabilities.topk(min(_NUCLEUS, len(logits))).values
    if best.sum() < p:
        best = probabilities.sort(descending=True).values
    before = best.cumsum(0) - best
    return keep_top_k(logits, max(int((before < p).sum()), 1))


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep tokens at least `p` times as probable as the best (arXiv:2407.01082)."""
    return torch.where(logits < logits.max() + math.log(p), -math.inf, logits)


class Sampler:
    """Draws tokens by one spec, with a random stream of its own."""

    def __init__(self, spec: SamplingSpec) -> None:
        self.spec = spec
        self._random = torch.Generator()
        if spec.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(spec.seed)

    def draw(self, logits: Tensor, prompt: Sequence[int], answer: Sequence[int]) -> Draw:
        """Choose the token that follows `prompt` + `answer` from logits (vocab_size,).

        Raises GenerationError where the logits hold NaN or nothing is left to choose from.
        """
        logits = logits.float().cpu()
        with ops.one_thread():
            best, peak, total = ops.survey(logits)
            if not math.isfinite(peak):
                raise GenerationError(f"the model produced {peak} at token {len(answer)}")
            allowed = self._steer(logits, prompt, answer)
            if allowed is not logits:
                best, peak, _ = ops.survey(allowed)
                if not math.isfinite(peak):
                    raise GenerationError(f"no token is allowed at token {len(answer)}")
            token = best if self.spec.temperature == 0 else self._choose(allowed, peak)
        return Draw(token, float(logits[token]) - total)

    def _choose(self, logits: Tensor, peak: float) -> int:
        """Draw by the probabilities that the filters leave."""
        spec, ids = self.spec, None
        if 0 < spec.top_k < len(logits):  # what top-k rules out need not be looked at again
            ids = best_ids(logits, spec.top_k)
            logits = logits[ids]
        reach = torch.softmax(self._filter(logits, peak), dim=0).double().cumsum(0)
        place = torch.rand(1, dtype=torch.float64, generator=self._random) * reach[-1]
        # The first whose probability lies beyond the place: never one of probability 0.
        index = int(torch.searchsorted(reach, place, right=True))
        index = min(index, len(reach) - 1)
        return index if ids is None else int(ids[index])

    def _steer(self, logits: Tensor, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
        spec = self.spec
        if spec.repetition_penalty != 1 and spec.repeat_last_n != 0:
            seen = [*prompt, *answer]
            seen = seen if spec.repeat_last_n < 0 else seen[-spec.repeat_last_n :]
            if seen:
                logits = penalize_repetition(logits, seen, spec.repetition_penalty)
        if answer and (spec.frequency_penalty or spec.presence_penalty):
            logits = penalize_counts(logits, answer, spec.frequency_penalty, spec.presence_penalty)
        return add_bias(logits, spec.logit_bias) if spec.logit_bias else logits

    def _filter(self, logits: Tensor, peak: float) -> Tensor:
        spec = self.spec
        # The best is moved to 0 first: a tiny temperature then gives -inf, never NaN. One that
        # fp32 has no number for would be 0 or inf, and NaN after all.
        logits = (logits - peak) / min(max(spec.temperature, FLOAT.tiny), FLOAT.max)
        if spec.top_k:
            logits = keep_top_k(logits, spec.top_k)
        if spec.top_p < 1:
            logits = keep_top_p(logits, spec.top_p)
        return keep_min_p(logits, spec.min_p) if spec.min_p else logits
