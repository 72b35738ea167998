"""The next token's candidates, stage by stage, by the sampler's own stage functions.

It knows numbers of tokens, and nothing of how they are shown.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from llmcli.core.sampling import Mask, trace
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.generate import prefill
from llmcli.engine.prefix import HeldPrefix
from llmcli.engine.session import Model


@dataclass(frozen=True)
class Candidate:
    """`logit`, `p` and `logprob` are the model's own (None for minus infinity); `stages` maps each
    stage to the probability after it, 0 where it rules the token out. `rank` counts from 1, by the
    logit after penalties and bias, equals by id; what a grammar's mask rules out comes after the
    rest. `label` is for people: spaces are visible."""

    rank: int
    id: int
    text: str
    label: str = field(metadata={"json": False})
    logit: float | None
    p: float
    logprob: float | None
    stages: Mapping[str, float]
    kept: bool
    drawn: bool


@dataclass(frozen=True)
class NextToken:
    """The best candidates and those asked for, best first. `prompt_ids` is all that came before.
    `order` names the stages as they are applied; `entropy_bits` ("model": before them), `left` (how
    many tokens can still be drawn) and `mass` (of the probability before it, what a stage keeps)
    go by these names. At temperature 0, `greedy`, the likeliest token is taken and nothing drawn.
    `computed_tokens` had to be run for this."""

    schema: ClassVar[str] = "next/1"

    model: str
    prompt_ids: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    entropy_bits: Mapping[str, float]
    left: Mapping[str, int]
    mass: Mapping[str, float]
    order: tuple[str, ...]
    greedy: bool
    computed_tokens: int


def run(
    model: Model,
    prompt_ids: Sequence[int],
    sampling: SamplingSpec,
    *,
    answer_ids: Sequence[int] = (),
    held: HeldPrefix | None = None,
    top: int = 10,
    drawn: int | None = None,
    also: Sequence[int] = (),
    mask: Callable[[Tensor], Mask] | None = None,
) -> NextToken:
    """What may follow `prompt_ids` and `answer_ids`, the `top` best and `drawn` and `also`.

    Computes the logits anew, but for the positions that `held` shares: of those a copy is used, so
    that it stays as it is. `answer_ids` count for the penalties alone. `mask` makes a grammar's
    from the logits.
    """
    ids = [*prompt_ids, *answer_ids]
    branch = held.fork(ids) if held is not None else HeldPrefix(model.new_cache())
    new = ids[len(branch.ids) :]
    with torch.inference_mode():
        logits = prefill(model.decoder, new, branch.cache)
        allowed = mask(logits) if mask is not None else None
        stages = trace(sampling, logits, prompt_ids, answer_ids, allowed)
        values = {name: logits.cpu() for name, logits in stages.items()}
    order = tuple(values)[1:]
    after = {name: torch.softmax(logits.double(), dim=0) for name, logits in values.items()}
    steered = order[order.index("temperature") - 1]
    best = values["bias"].argsort(descending=True, stable=True)
    ranked = best[values[steered][best].argsort(descending=True, stable=True)].tolist()
    wanted = {*ranked[:top], *also, *(() if drawn is None else (drawn,))}
    logprobs = values["model"].double().log_softmax(dim=0)

    def candidate(rank: int, id: int) -> Candidate:
        return Candidate(
            rank=rank,
            id=id,
            text=model.tokenizer.token_bytes(id).decode("utf-8", "replace"),
            label=model.tokenizer.label(id),
            logit=_finite(float(values["model"][id])),
            p=float(after["model"][id]),
            logprob=_finite(float(logprobs[id])),
            stages={name: float(after[name][id]) for name in order},
            kept=_possible(values[order[-1]])[id].item() is True,
            drawn=id == drawn,
        )

    pairs = zip(("model", *order), order, strict=False)
    return NextToken(
        model=model.name,
        prompt_ids=tuple(ids),
        candidates=tuple(candidate(n, id) for n, id in enumerate(ranked, 1) if id in wanted),
        entropy_bits={name: _bits(probabilities) for name, probabilities in after.items()},
        left={name: int(_possible(logits).sum()) for name, logits in values.items()},
        mass={name: float(after[old][_possible(values[name])].sum()) for old, name in pairs},
        order=order,
        greedy=sampling.temperature == 0,
        computed_tokens=len(new),
    )


def _possible(logits: Tensor) -> Tensor:
    return logits > -math.inf


def _bits(probabilities: Tensor) -> float:
    return float(torch.special.entr(probabilities).sum()) / math.log(2)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
