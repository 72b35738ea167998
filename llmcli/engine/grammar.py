"""What an answer must look like: a JSON schema, a regular expression or a grammar, checked.

It knows their spellings and a model's vocabulary, and nothing of logits, nor of torch: a mistake
in a schema is told before the weights are read. What they mean is llguidance's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper, grammar_from

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.engine.closed_schema import closed
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

Kind = Literal["json_schema", "regex", "grammar"]
# Between two parts of a JSON text: nothing, a space, or a new line with its indent. Without an end
# to it a small model writes white space to the end of the room.
_JSON: "JsonCompileOptions" = {"whitespace_pattern": "(\\n {0,16}| )?"}
_LIMITS = LLParserLimits(verbose_errors=False)


@dataclass(frozen=True)
class Grammar:
    """`text` as the user wrote it; `rules` as llguidance takes them; `warnings` about it."""

    kind: Kind
    text: str
    rules: str
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What such a thing is called."""
        return _NAMES[self.kind]

    @classmethod
    def read(cls, kind: Kind, text: str) -> "Grammar":
        """Raises UsageError, with llguidance's message, for what it cannot follow."""
        try:
            rules = _READERS[kind](text)
        except ValueError as error:
            raise UsageError(_told(kind, str(error))) from None
        fault, messages = LLMatcher.validate_grammar_with_warnings(rules, limits=_LIMITS)
        if fault:
            raise UsageError(_told(kind, messages[0]))
        # What it could only check with a vocabulary, `check` does.
        warnings = (message for message in messages if not message.startswith("no tokenizer"))
        return cls(kind, text, rules, tuple(warnings))

    def check(self, tokenizer: Tokenizer, rows: int, stop_ids: frozenset[int]) -> None:
        """Raises UsageError where it names a special token that this model lacks."""
        vocabulary(tokenizer, rows, stop_ids).matcher(self)


class Vocabulary:
    """A model's tokens as bytes, as llguidance needs them."""

    def __init__(self, tokenizer: Tokenizer, rows: int, stop_ids: frozenset[int]) -> None:
        """`rows`: how many logits there are, and so how long a mask must be."""
        self.rows = rows
        self.stop_ids = sorted(token for token in stop_ids if token < rows)
        raw = [tokenizer.token_bytes(token) for token in range(rows)]
        self.bytes_to_id = {spelled: token for token, spelled in reversed([*enumerate(raw)])}
        # One more, which no model can draw: the end, for a model without a stop id.
        ends = self.stop_ids or [rows]
        self._backend = LLTokenizer(
            TokenizerWrapper(
                _Tokens(
                    tokens=[*raw, b"<end>"],
                    special_token_ids=sorted({*tokenizer.special_ids, *ends, rows}),
                    eos_token_id=ends[0],
                    encode=tokenizer.encode,
                )
            ),
            eos_token=ends,
        )

    def matcher(self, grammar: Grammar) -> LLMatcher:
        """At the beginning of an answer. Raises UsageError where the grammar names a special token
        that the vocabulary lacks."""
        matcher = LLMatcher(self._backend, grammar.rules, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            # Without the list of all that there are, and the grammar once more.
            fault = matcher.get_error().splitlines()[0].partition("; following special")[0]
            raise UsageError(_told(grammar.kind, fault))
        return matcher

    def tokens(self, text: str) -> list[int]:
        """Ids whose bytes are `text`, in whichever way."""
        return self._backend.greedy_tokenize(text)


@lru_cache(maxsize=1)  # every answer of a chat has the same one, and making it takes its time
def vocabulary(tokenizer: Tokenizer, rows: int, stop_ids: frozenset[int]) -> Vocabulary:
    return Vocabulary(tokenizer, rows, stop_ids)


@dataclass(frozen=True)
class _Tokens:
    """What llguidance asks of a tokenizer that is not in its own format."""

    tokens: Sequence[bytes]
    special_token_ids: Sequence[int]
    eos_token_id: int
    encode: Callable[[str], list[int]]
    bos_token_id: None = None

    def __call__(self, text: str) -> list[int]:
        return self.encode(text)


def _json_rules(text: str) -> str:
    return LLMatcher.grammar_from_json_schema(closed(text), defaults=_JSON)


_READERS: dict[Kind, Callable[[str], str]] = {
    "json_schema": _json_rules,
    "regex": LLMatcher.grammar_from_regex,
    "grammar": lambda text: grammar_from("gbnf", text),  # Lark is told from GBNF by its `start:`
}
_NAMES: dict[Kind, str] = {
    "json_schema": "JSON schema",
    "regex": "regular expression",
    "grammar": "grammar",
}


def _told(kind: Kind, message: str) -> str:
    """llguidance's message, without what it says of the grammar that it made of a pattern."""
    if kind == "regex":
        message = message.split(" (in regex): ")[-1].split("\n   1 | ")[0]
    return f"{_NAMES[kind]}: {message.replace('<non-verbose/>', '').strip()}"
