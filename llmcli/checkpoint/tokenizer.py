"""tokenizer.json -> text to ids and back; what a user types never becomes a control token.

It knows nothing of chat templates or of the model's weights, but for how many rows they have.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Encoding
from tokenizers import Tokenizer as Backend
from tokenizers.models import BPE

from llmcli.checkpoint.json_file import (
    MIB,
    json_type,
    read_optional_bytes,
    read_optional_json_object,
)
from llmcli.checkpoint.native import native_call
from llmcli.checkpoint.stream_decoder import ByteStream, StreamDecoder, WindowStream, byte_values
from llmcli.errors import InvalidModelError

FILE = "tokenizer.json"
MARKS = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥"})
_LIMIT_BYTES = 256 * MIB  # the largest published ones are about 40 MiB
_SAMPLE = "Hello, world! 123\n é ▁ 日本 🙂"


@dataclass(frozen=True)
class TokenPiece:
    """One token. `piece` is the vocabulary's spelling, `label` one for people, with visible spaces.

    `start` and `end` count characters of the text it comes from; they are equal for a token that
    stands for none of it, and None where the place is not known.
    """

    id: int
    piece: str
    label: str
    raw: bytes
    special: bool
    start: int | None = None
    end: int | None = None


class Tokenizer:
    """A folder's tokenizer. Every id it gives has a row in the embedding table."""

    def __init__(self, backend: Backend, file: Path, names: dict[str, str], rows: int) -> None:
        self._backend, self._file, self._rows = backend, file, rows
        self.special_tokens = names  # "bos_token" -> "<s>", for chat templates
        self._added = backend.get_added_tokens_decoder()
        self.added_tokens = {token.content: id for id, token in self._added.items()}
        self.special_ids = frozenset(id for id, token in self._added.items() if token.special)
        self._decoder_types, self._decoder_text = _decoder_description(backend)
        self._byte_values = byte_values() if "ByteLevel" in self._decoder_types else {}

    @classmethod
    def load(cls, folder: Path, vocab_size: int | None = None) -> "Tokenizer":
        """`vocab_size`: rows of the embedding table (None: as many as the vocabulary needs).

        Raises InvalidModelError if the file is missing, damaged, or numbers its vocabulary beyond
        those rows. Added tokens may lie beyond (Gemma 3 has one): they are refused when used.
        """
        file = folder / FILE
        data = read_optional_bytes(file, limit_bytes=_LIMIT_BYTES)
        if data is None:
            raise InvalidModelError(f"{file}: there is no such file", hint=_missing_hint(folder))
        names = _special_names(folder)
        with native_call(file, "not a usable tokenizer"):
            backend = Backend.from_buffer(data)
            backend.no_truncation()
            backend.no_padding()
            highest = max(backend.get_vocab(with_added_tokens=False).values(), default=-1)
            # What is wrong inside shows only in use; better here than in the middle of an answer.
            backend.decode(backend.encode(_SAMPLE).ids)
            backend.encode("")
        if highest < 0 and not backend.get_vocab_size():
            raise InvalidModelError(f"{file}: the vocabulary is empty")
        if vocab_size is not None and highest >= vocab_size:
            raise InvalidModelError(
                f"{file}: token {backend.id_to_token(highest)!r} has id {highest}, "
                f"but the model has {vocab_size} embedding rows"
            )
        rows = backend.get_vocab_size() + highest + 1 if vocab_size is None else vocab_size
        return cls(backend, file, names, rows)

    @property
    def vocab_size(self) -> int:
        """How many tokens the tokenizer knows: may be less than the model's embedding rows."""
        return self._backend.get_vocab_size()

    @property
    def bos_id(self) -> int | None:
        """The id a text begins with, if the folder names one."""
        return self._named_id("bos_token")

    @property
    def eos_id(self) -> int | None:
        """The id a text ends with, if the folder names one."""
        return self._named_id("eos_token")

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, nothing added. A special token's spelling is plain text."""
        return self._plain(text, add=False)

    def encode_prompt(self, text: str) -> list[int]:
        """As `encode`, with what the tokenizer puts around a text, such as BOS before it."""
        return self._plain(text, add=True)

    def encode_rendered(self, text: str) -> list[int]:
        """Ids of a rendered chat template: special tokens are control tokens, nothing added."""
        return self._ids(self._encode(text, special=True, add=False))

    def encode_within(self, text: str, *, literal: bool) -> list[int]:
        """Ids of a part from the middle of a rendered template.

        `literal`: no added token, special or not, is recognised. SentencePiece puts a space before
        the first piece of a text; here none may come, so the part is encoded after a line break.
        """
        encode = self._literal if literal else self.encode_rendered
        lead, ids = encode("\n"), encode("\n" + text)
        return ids[len(lead) :] if ids[: len(lead)] == lead else encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; special tokens have none, and ids without a token are passed over."""
        return self._decode(ids, self.special_ids)

    def _decode(self, ids: Sequence[int], silent: frozenset[int]) -> str:
        with native_call(self._file, "cannot decode"):
            # Not left to the library: it misses special tokens whose `normalized` is set.
            kept = [id for id in ids if id not in silent]
            return self._backend.decode(kept, skip_special_tokens=False)

    def token(self, id: int) -> str:
        """The vocabulary's own spelling of `id`, such as `Ġhello` or `▁hello`."""
        piece = self._backend.id_to_token(id)
        return f"<unused {id}>" if piece is None else piece

    def token_bytes(self, id: int) -> bytes:
        """The bytes that `id` stands for within a text; a special token's spelling; none for an id
        without a token."""
        piece = self._backend.id_to_token(id)
        if piece is None:
            return b""
        if self._byte_values:
            values = [self._byte_values.get(character) for character in piece]
            known = [value for value in values if value is not None]
            return bytes(known) if len(known) == len(values) else piece.encode()
        if id in self._added:
            return piece.encode()
        if "ByteFallback" in self._decoder_types and re.fullmatch("<0x[0-9A-Fa-f]{2}>", piece):
            return bytes([int(piece[3:5], 16)])
        return (piece.replace("▁", " ") if "▁" in self._decoder_text else piece).encode()

    def label(self, id: int) -> str:
        """`id` for people: its text with visible spaces, bytes that are no text as `\\xf0`."""
        if self._backend.id_to_token(id) is None:
            return f"<unused {id}>"
        return self.token_bytes(id).decode("utf-8", "backslashreplace").translate(MARKS)

    def pieces(self, text: str, *, rendered: bool = False) -> list[TokenPiece]:
        """The tokens of `encode_prompt(text)`, or of `encode_rendered(text)`, with their places."""
        encoding = self._encode(text, special=rendered, add=not rendered)
        ids = self.encode_rendered(text) if rendered else self.encode_prompt(text)
        if ids != encoding.ids:  # typed control tokens had to be taken apart
            return self.describe(ids)
        return [
            replace(piece, start=start, end=end)
            for piece, (start, end) in zip(self.describe(ids), encoding.offsets, strict=True)
        ]

    def describe(self, ids: Sequence[int]) -> list[TokenPiece]:
        """What each of `ids` is, whatever text it comes from."""
        return [
            TokenPiece(
                id=id,
                piece=self.token(id),
                label=self.label(id),
                raw=self.token_bytes(id),
                special=id in self.special_ids,
            )
            for id in ids
        ]

    def stream(self, spelled: frozenset[str] = frozenset()) -> StreamDecoder:
        """A decoder for one text, fed id by id; together it gives exactly what `decode` gives, and
        the special tokens whose spelling is in `spelled`."""
        text = {id for id in self.special_ids if self._added[id].content in spelled}
        silent = self.special_ids - text
        if self._decoder_types == ["ByteLevel"]:
            return ByteStream(lambda id: b"" if id in silent else self.token_bytes(id))
        return WindowStream(
            lambda ids: self._decode(ids, silent),
            ignored=lambda id: id in silent or self._backend.id_to_token(id) is None,
            undecided=self._undecided(),
        )

    def _undecided(self) -> Callable[[int], bool]:
        if "ByteLevel" in self._decoder_types:  # one stage of several: only ASCII ends a character
            return lambda id: not self.token_bytes(id).isascii()
        if "ByteFallback" in self._decoder_types:
            return lambda id: re.fullmatch("<0x..>", self.token(id), re.DOTALL) is not None
        return lambda id: False

    def _named_id(self, name: str) -> int | None:
        spelling = self.special_tokens.get(name)
        return None if spelling is None else self._backend.token_to_id(spelling)

    def _plain(self, text: str, *, add: bool) -> list[int]:
        encoding = self._encode(text, special=False, add=add)
        ids = self._ids(encoding)
        typed = self._spelled_in(text)
        if typed.isdisjoint(ids):
            return ids
        # What was added around the text may hold the same ids by right: look at the text alone.
        if typed.isdisjoint(self._ids(self._encode(text, special=False, add=False))):
            return ids
        # A vocabulary that has its control tokens as ordinary pieces, too.
        around = encoding.special_tokens_mask if add else []
        lead = [*around, 0].index(0)
        tail = [*reversed(around), 0].index(0)
        return ids[:lead] + self._literal(text) + ids[len(ids) - tail :]

    def _literal(self, text: str) -> list[int]:
        """Ids of `text` past all recognition of added tokens."""
        text = _encodable(text)
        backend = self._backend
        with native_call(self._file, "cannot encode"):
            if backend.normalizer is not None:
                text = backend.normalizer.normalize_str(text)
            parts = [text]
            if backend.pre_tokenizer is not None:
                parts = [part for part, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
            ids: list[int] = []
            for part in parts:
                ids += self._without_control(part)
        return ids

    def _without_control(self, part: str) -> list[int]:
        ids: list[int] = [token.id for token in self._backend.model.tokenize(part)]
        if self._spelled_in(part).isdisjoint(ids):
            return ids
        if len(part) == 1:
            raise InvalidModelError(f"{self._file}: cannot write {part!r} but as a control token")
        return [id for character in part for id in self._without_control(character)]

    def _spelled_in(self, text: str) -> set[int]:
        """The special tokens whose spelling occurs in `text`."""
        return {id for id in self.special_ids if self._added[id].content in text}

    def _encode(self, text: str, *, special: bool, add: bool) -> Encoding:
        with native_call(self._file, "cannot encode"):
            self._backend.encode_special_tokens = not special
            return self._backend.encode(_encodable(text), add_special_tokens=add)

    def _ids(self, encoding: Encoding) -> list[int]:
        ids: list[int] = encoding.ids
        if ids and max(ids) >= self._rows:
            raise InvalidModelError(
                f"{self._file}: token {self.token(max(ids))!r} has id {max(ids)}, "
                f"but the model has {self._rows} embedding rows"
            )
        return ids


def warm_up() -> None:
    """Use the native library once. The first use waits while another thread has the system load
    libraries; later ones do not: what the library keeps for each thread is there by then."""
    backend = Backend(BPE({"a": 0}, []))
    backend.decode(backend.encode("a").ids)


def _decoder_description(backend: Backend) -> tuple[list[str], str]:
    """The types of the decoder's stages, in order, and the whole of it as JSON."""
    if backend.decoder is None:
        return [], ""
    text = backend.decoder.__getstate__().decode()
    stages = [json.loads(text)]
    types: list[str] = []
    while stages:
        stage = stages.pop(0)
        if stage["type"] == "Sequence":
            stages = stage["decoders"] + stages
        else:
            types.append(stage["type"])
    return types, text


def _special_names(folder: Path) -> dict[str, str]:
    """The spellings that tokenizer_config.json gives its `*_token` names.

    As in the reference library, special_tokens_map.json overrides it only in folders of the old
    kind, which have no `added_tokens_decoder`.
    """
    names: dict[str, str] = {}
    config = read_optional_json_object(folder / "tokenizer_config.json") or {}
    _collect_names(folder / "tokenizer_config.json", config, names)
    extra = config.get("extra_special_tokens")
    if isinstance(extra, dict):
        _collect_names(folder / "tokenizer_config.json", extra, names)
    if "added_tokens_decoder" not in config:
        file = folder / "special_tokens_map.json"
        _collect_names(file, read_optional_json_object(file) or {}, names)
    return names


def _collect_names(file: Path, source: dict[str, Any], names: dict[str, str]) -> None:
    for name, value in source.items():
        # add_bos_token and its like are switches, not spellings.
        if not name.endswith("_token") or value is None or isinstance(value, bool):
            continue
        spelling = value.get("content") if isinstance(value, dict) else value
        if not isinstance(spelling, str):
            raise InvalidModelError(f"{file}: {name} must be a string, not {json_type(spelling)}")
        names[name] = spelling


def _missing_hint(folder: Path) -> str:
    for other in ("tokenizer.model", "vocab.json", "vocab.txt"):
        if (folder / other).exists():
            return (
                f"the folder has only {other}; `AutoTokenizer.from_pretrained(FOLDER)"
                ".save_pretrained(FOLDER)` of transformers writes tokenizer.json from it"
            )
    return "the folder has no tokenizer at all; download the model again"


def _encodable(text: str) -> str:
    """`text` with lone surrogates, which are no characters, as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
