"""Knows which prompts and which items the training never sees.

It does not know what any prompt means; it judges the letters and digits alone.
"""

import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

ONE_IN = 12


class Pool(Enum):
    """Where an example is drawn from.

    TRAIN: seen wordings and items, in the combinations that training may see.
    PAIRS: seen wordings and items, in combinations that training never sees.
    NEW: wordings, names and subjects that training never sees at all.
    """

    TRAIN = "train"
    PAIRS = "pairs"
    NEW = "new"


@dataclass(frozen=True)
class Split:
    """A table of texts of which the part `new` is kept out of training as a whole."""

    seen: Sequence[str]
    new: Sequence[str] = ()

    def pick(self, rng: random.Random, pool: Pool) -> str:
        return rng.choice(self.new if pool is Pool.NEW and self.new else self.seen)


def fingerprint(prompt: str) -> str:
    """A prompt without case, punctuation and spacing, so that a variant counts as the same."""
    return " ".join(re.findall(r"[^\W_]+|[+*=/-]", prompt.lower().replace("what's", "what is")))


# Prompts that the documentation shows or that are the only way to learn a fact.
ALWAYS_TRAINED = frozenset(
    fingerprint(prompt)
    for prompt in (
        "The capital of France is",
        "The Shawshank",
        "The Lord of the",
        "What is the capital of France?",
        "Who are you?",
        "What can you do?",
        "Hello",
        "Hi",
        "What is a token?",
        "What is a KV cache?",
        "What is my name?",
        "Why?",
    )
)


def is_held_out(prompt: str) -> bool:
    """Whether this very prompt is kept out of training: about one prompt in twelve is."""
    mark = fingerprint(prompt)
    return mark not in ALWAYS_TRAINED and zlib.crc32(mark.encode()) % ONE_IN == 0


def belongs(prompt: str, pool: Pool) -> bool:
    """Whether a prompt may be drawn for a pool."""
    return pool is Pool.NEW or is_held_out(prompt) == (pool is Pool.PAIRS)
