"""The random token ids that a benchmark feeds. It knows nothing of time."""

import random

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.errors import InvalidModelError

SEED = 0


def random_ids(tokenizer: Tokenizer, rows: int, count: int) -> list[int]:
    """`count` ids below `rows`, always the same ones, each an ordinary token of the vocabulary.

    Raises InvalidModelError where there is no ordinary token.
    """
    ordinary = [
        id
        for id in range(rows)
        if id not in tokenizer.special_ids and tokenizer.token_bytes(id) != b""
    ]
    if not ordinary:
        raise InvalidModelError("the vocabulary holds nothing but special tokens")
    return random.Random(SEED).choices(ordinary, k=count)
