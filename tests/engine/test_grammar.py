"""Grammars: mistakes are told with llguidance's words; tokens are the bytes that are shown."""

from pathlib import Path

import pytest
from made_tokenizers import byte_fallback, byte_level, folder_of, metaspace

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.engine.grammar import Grammar, Kind, Vocabulary
from llmcli.errors import UsageError

GBNF = 'root ::= "yes" | "no"\n'
LARK = 'start: "yes" | "no"\n'


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("json_schema", "{", "JSON schema: EOF while parsing"),
        ("json_schema", "[]", "JSON schema: Expecting object schema"),
        ("json_schema", '{"type": "objekt"}', "JSON schema: Invalid type: objekt"),
        ("json_schema", '{"not": {}}', 'JSON schema: Unimplemented keys: ["not"]'),
        (
            "regex",
            "(",
            "expression: regex parse error:\n    (\n    ^\nerror: unclosed group",
        ),
        ("regex", "(?=x)", "look-ahead"),
        ("grammar", "start: other", 'grammar: at 1(8): unknown name: "other"\n   1 | start: other'),
        ("grammar", "root ::= other", "Rule 'other' not found"),
        ("grammar", "", "No 'root' rule found"),
    ],
)
def test_what_cannot_be_followed_is_told(kind: Kind, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Grammar.read(kind, text)
    assert words in str(caught.value)
    assert "non-verbose" not in str(caught.value)


@pytest.mark.parametrize("make", [byte_level, byte_fallback, metaspace])
@pytest.mark.parametrize("text", [LARK, GBNF])
def test_every_kind_of_tokenizer_and_both_kinds_of_grammar(make, text, tmp_path: Path) -> None:
    vocabulary, tokenizer = made(make, tmp_path)
    matcher = vocabulary.matcher(Grammar.read("grammar", text))
    first = allowed(matcher, vocabulary)
    assert first == {
        token
        for token in range(vocabulary.rows)
        if token not in tokenizer.special_ids
        and (raw := tokenizer.token_bytes(token))
        and (b"yes".startswith(raw) or b"no".startswith(raw))
    }
    assert vocabulary.bytes_to_id[b"n"] in first
    for character in (b"n", b"o"):
        assert matcher.consume_token(vocabulary.bytes_to_id[character])
    assert allowed(matcher, vocabulary) == {2}  # the stop id, and only now


def test_a_special_token_is_no_text_but_may_be_named(tmp_path: Path) -> None:
    vocabulary, tokenizer = made(byte_level, tmp_path)
    spelled = vocabulary.matcher(Grammar.read("regex", "<s>"))
    assert tokenizer.added_tokens["<s>"] not in allowed(spelled, vocabulary)
    named = vocabulary.matcher(Grammar.read("grammar", 'start: <s> "a"'))
    assert allowed(named, vocabulary) == {tokenizer.added_tokens["<s>"]}
    with pytest.raises(UsageError, match="unknown special token"):
        vocabulary.matcher(Grammar.read("grammar", "start: <nothing>"))


def test_without_a_stop_id_nothing_ends_but_by_itself(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(folder_of(byte_level(), tmp_path))
    vocabulary = Vocabulary(tokenizer, tokenizer.vocab_size, frozenset())
    matcher = vocabulary.matcher(Grammar.read("regex", "a+"))
    assert matcher.consume_token(vocabulary.bytes_to_id[b"a"])
    assert matcher.is_accepting()
    assert not allowed(matcher, vocabulary) & tokenizer.special_ids


def made(make, folder: Path) -> tuple[Vocabulary, Tokenizer]:
    tokenizer = Tokenizer.load(folder_of(make(), folder))
    # More rows than tokens, as many models have.
    return Vocabulary(tokenizer, tokenizer.vocab_size + 5, frozenset({2})), tokenizer


def allowed(matcher, vocabulary: Vocabulary) -> set[int]:
    bits = matcher.compute_bitmask()
    return {token for token in range(vocabulary.rows) if bits[token >> 3] >> (token & 7) & 1}
