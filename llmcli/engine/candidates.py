"""The likeliest tokens at one place, by the model's own probabilities. It knows no settings."""

from dataclasses import dataclass

from torch import Tensor

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.core.sampling import best_logprobs


@dataclass(frozen=True)
class Candidate:
    """A token that could have come, and the logarithm of the model's own probability for it. Bytes
    that are no text by themselves are written as `\\xf0`."""

    id: int
    text: str
    logprob: float


def candidates(logits: Tensor, most: int, tokenizer: Tokenizer) -> tuple[Candidate, ...]:
    """The `most` likeliest by logits (vocab_size,), best first."""
    return tuple(
        Candidate(token, tokenizer.token_bytes(token).decode("utf-8", "backslashreplace"), logprob)
        for token, logprob in best_logprobs(logits, most)
    )
