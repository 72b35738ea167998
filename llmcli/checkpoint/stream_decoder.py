"""Token ids, one at a time -> text as soon as it is certain; in sum, what decoding them all gives.

It knows nothing of stop ids or stop texts.
"""

import codecs
from collections.abc import Callable, Iterable
from typing import Protocol


class StreamDecoder(Protocol):
    """What `push` returns, joined, and then `flush` is the text of all ids pushed."""

    def push(self, token: int) -> str:
        """Take one id; returns the text that is now certain, never half a character."""
        ...

    def flush(self) -> str:
        """The rest, once no id will follow: broken UTF-8 comes as U+FFFD, as in `decode`."""
        ...


class ByteStream:
    """For byte-level tokenizers: every id is bytes, and the text is those bytes as UTF-8."""

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        return self._utf8.decode(self._token_bytes(token))

    def flush(self) -> str:
        return self._utf8.decode(b"", final=True)


class WindowStream:
    """For every other tokenizer: decodes a short window of ids and releases what is new in it.

    The window begins with the ids whose text was released last, because the first piece of a text
    may decode differently from a later one (SentencePiece drops a leading space). An id for which
    `undecided` holds may change meaning with its successors: a run of byte tokens is text when the
    run as a whole is valid UTF-8, and as many U+FFFD as it has bytes when it is not. The library's
    own `DecodeStream` releases such a run too early, and then fails on it.
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        ignored: Callable[[int], bool],
        undecided: Callable[[int], bool],
    ) -> None:
        self._decode = decode
        self._ignored = ignored
        self._undecided = undecided
        self._window: list[int] = []
        self._released = 0  # characters of the window's text that have been given out

    def push(self, token: int) -> str:
        if self._ignored(token):
            return ""
        self._window.append(token)
        if self._undecided(token):
            return ""
        text = self._decode(self._window)
        new = text[self._released :]
        alone = self._decode([token])
        # A piece that is nothing anywhere cannot stand for "some text came before".
        if alone or self._decode([token, token]):
            self._window, self._released = [token], len(alone)
        else:
            self._released = len(text)
        return new

    def flush(self) -> str:
        new = self._decode(self._window)[self._released :]
        self._window, self._released = [], 0
        return new


def byte_values() -> dict[str, int]:
    """The character that byte-level tokenizers write for each byte -> that byte (GPT-2's table).

    Printable Latin-1 characters stand for themselves; the other bytes, in order, for the
    characters from U+0100 on.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden: Iterable[int] = (byte for byte in range(256) if byte not in visible)
    table = {chr(byte): byte for byte in visible}
    return table | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}
