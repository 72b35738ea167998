"""A text -> its tokens, as the model will be given them. It knows nothing of how they are shown."""

from dataclasses import dataclass, field
from typing import ClassVar

from llmcli.checkpoint.template import ChatTemplate
from llmcli.checkpoint.tokenizer import Tokenizer, TokenPiece


@dataclass(frozen=True)
class Token:
    """`bytes` are the token's own; `start` and `end` count characters of the text, None if its
    place there is not known. `label` is for people: spaces are visible."""

    index: int
    id: int
    piece: str
    bytes: tuple[int, ...]
    start: int | None
    end: int | None
    special: bool
    label: str = field(metadata={"json": False})


@dataclass(frozen=True)
class Tokenization:
    """`rendered`: whether `text` is a chat prompt that the model's template wrote."""

    schema: ClassVar[str] = "tokenize/1"

    model: str
    text: str
    rendered: bool
    count: int
    tokens: tuple[Token, ...]


def run(model: str, tokenizer: Tokenizer, text: str) -> Tokenization:
    """The tokens of a prompt: with BOS, where the tokenizer puts one."""
    return _report(model, text, tokenizer.pieces(text), rendered=False)


def run_chat(model: str, tokenizer: Tokenizer, template: ChatTemplate, text: str) -> Tokenization:
    """The tokens of a conversation that begins with `text`, up to where the answer is to come."""
    messages = [{"role": "user", "content": text}]
    rendered, ids = template.render(messages), template.encode(messages)
    pieces = tokenizer.pieces(rendered, rendered=True)
    if [piece.id for piece in pieces] != ids:  # control tokens were typed, and are plain text
        pieces = tokenizer.describe(ids)
    return _report(model, rendered, pieces, rendered=True)


def _report(model: str, text: str, pieces: list[TokenPiece], *, rendered: bool) -> Tokenization:
    tokens = tuple(
        Token(
            index=index,
            id=piece.id,
            piece=piece.piece,
            bytes=tuple(piece.raw),
            start=piece.start,
            end=piece.end,
            special=piece.special,
            label=piece.label,
        )
        for index, piece in enumerate(pieces)
    )
    return Tokenization(model, text, rendered, len(tokens), tokens)
