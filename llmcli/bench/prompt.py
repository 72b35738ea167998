"""The token ids that a benchmark feeds: random ones of the vocabulary, or a file's text.

It knows nothing of time.
"""

import random
from pathlib import Path

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.errors import InvalidModelError, UsageError

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


def file_ids(tokenizer: Tokenizer, file: Path) -> list[int]:
    """Ids of the file's text, with what the tokenizer puts around a text.

    Raises UsageError where the file cannot be read as UTF-8 text or holds none.
    """
    try:
        ids = tokenizer.encode_prompt(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"--prompt-file {file}: {reason}") from None
    if not ids:
        raise UsageError(f"--prompt-file {file}: it holds no text")
    return ids
