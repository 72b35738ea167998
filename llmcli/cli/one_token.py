"""A token as somebody types it. It knows spellings, and nothing of what is done with the token."""

from typing import TYPE_CHECKING

from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.checkpoint.tokenizer import Tokenizer


def is_id(text: str) -> bool:
    """Whether it is meant as a token's id, which is another token for another model."""
    return text.isascii() and text.isdecimal()


def token_of(text: str, tokenizer: "Tokenizer", vocab_size: int) -> int:
    """The id of a token given by it, by a special token's spelling, or by a text that is exactly
    that token, with spaces as they are or as ␣. Raises UsageError."""
    from llmcli.checkpoint.tokenizer import MARKS

    if is_id(text):
        if len(text) > len(str(vocab_size)) or int(text) >= vocab_size:
            raise UsageError(f"token {text[:40]} is not in the vocabulary of {vocab_size:,} tokens")
        return int(text)
    if text in tokenizer.added_tokens:
        return tokenizer.added_tokens[text]
    ids = tokenizer.encode(text.translate({ord(MARKS[code]): code for code in MARKS}))
    if len(ids) != 1:
        raise UsageError(
            f"{text[:40]!r} is {len(ids)} tokens, and it must be exactly one",
            hint="`llmcli tokenize` and /tokens TEXT show a text's tokens; ␣ stands for a space",
        )
    return ids[0]
