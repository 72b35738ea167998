"""How tokens are to be chosen, as validated data. It knows nothing of logits, nor of torch."""

import math
from dataclasses import dataclass, field

from llmcli.errors import UsageError


@dataclass(frozen=True)
class SamplingSpec:
    """How tokens are chosen. The defaults sample from the model's own distribution.

    `top_k` 0 and `top_p` 1 and `min_p` 0 filter nothing; `temperature` 0 is greedy.
    `repetition_penalty` divides positive and multiplies negative logits of tokens seen in the last
    `repeat_last_n` of prompt and answer (-1: all; arXiv:1909.05858). `frequency_penalty` and
    `presence_penalty` subtract per occurrence, and once, for tokens of the answer.
    `logit_bias` maps ids to what is added: -100 never, +100 nearly always.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    repeat_last_n: int = -1
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    seed: int | None = None

    def __post_init__(self) -> None:
        checks = (
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_k", self.top_k >= 0, "0 (off) or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "above 0"),
            ("repeat_last_n", self.repeat_last_n >= -1, "-1 (all) or more"),
            ("frequency_penalty", math.isfinite(self.frequency_penalty), "a number"),
            ("presence_penalty", math.isfinite(self.presence_penalty), "a number"),
        )
        for name, holds, wanted in checks:
            if not holds:
                raise UsageError(f"{name} must be {wanted}, not {getattr(self, name)}")
        for token, bias in self.logit_bias.items():
            if not math.isfinite(bias):
                raise UsageError(f"logit_bias of token {token} must be a number, not {bias}")

    @property
    def steers(self) -> bool:
        """Whether there is a penalty or a bias."""
        penalties = self.frequency_penalty or self.presence_penalty or self.repetition_penalty != 1
        return bool(penalties or self.logit_bias)
