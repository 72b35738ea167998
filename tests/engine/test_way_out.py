"""The way to the end of an answer: short, allowed step by step, and there at the end."""

import json
from pathlib import Path

import jsonschema
import pytest
from made_tokenizers import byte_level, folder_of

from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.engine.grammar import Grammar, Kind, Vocabulary
from llmcli.engine.way_out import WayOut

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "born": {"type": "integer", "minimum": 1900},
        "colour": {"enum": ["grün", "rot"]},
        "friends": {"type": "array", "items": {"$ref": "#"}, "minItems": 0},
    },
    "required": ["name", "born", "colour"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> Vocabulary:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer.load(folder_of(byte_level(), folder))
    return Vocabulary(tokenizer, tokenizer.vocab_size, frozenset({2}))


def rest(vocabulary: Vocabulary, kind: Kind, text: str, begun: str) -> str | None:
    matcher = vocabulary.matcher(Grammar.read(kind, text))
    assert matcher.consume_tokens(vocabulary.tokens(begun))
    way = WayOut(vocabulary, json=kind == "json_schema").of(matcher)
    if way is None:
        return None
    spelled = {token: raw for raw, token in vocabulary.bytes_to_id.items()}
    return b"".join(spelled[token] for token in way).decode()


BO = '{"name":"Bo","born":1990'


@pytest.mark.parametrize(
    "begun",
    [
        *("", "{", '{"', '{"name": "B', '{"name":"Bo","born":19'),
        *(BO + more for more in (',"col', ',"colour":"gr', ',"colour":"rot","friends":[{')),
        BO + ',"colour":"rot","friends":[{"name":"[{", "born":2000',
    ],
)
def test_json_is_completed_as_the_schema_asks(vocabulary: Vocabulary, begun: str) -> None:
    end = rest(vocabulary, "json_schema", json.dumps(PERSON), begun)
    assert end is not None and len(end) < 100
    jsonschema.validate(json.loads(begun + end), PERSON)


def test_what_is_open_is_closed_and_no_more(vocabulary: Vocabulary) -> None:
    anything = '{"type": "object"}'
    assert rest(vocabulary, "json_schema", anything, '{"a": [1, {"b": "c, [') == '"}]}'
    assert rest(vocabulary, "json_schema", anything, '{"a": 1') == "}"
    assert rest(vocabulary, "json_schema", anything, "{}") == ""


def test_other_grammars_end_by_a_character_or_step_by_step(vocabulary: Vocabulary) -> None:
    assert rest(vocabulary, "regex", "[a-z ,]+[.!]", "hello") == "!"
    assert rest(vocabulary, "regex", r"\d{4}-\d\d", "20") == "00-00"
    assert rest(vocabulary, "grammar", 'start: "(" start ")" | "x"', "((") == "x))"
    assert rest(vocabulary, "regex", "[0-9]+ END", "12") is None  # it does not try everything


def test_the_ending_of_a_part_is_that_which_is_the_soonest_whole(vocabulary: Vocabulary) -> None:
    def ending(kind: Kind, text: str, begun: str) -> str | None:
        matcher = vocabulary.matcher(Grammar.read(kind, text))
        assert matcher.consume_tokens(vocabulary.tokens(begun))
        token = WayOut(vocabulary, json=kind == "json_schema").ending(matcher)
        spelled = {token: raw for raw, token in vocabulary.bytes_to_id.items()}
        return None if token is None else spelled[token].decode()

    schema = json.dumps(PERSON)
    assert ending("json_schema", schema, '{"name":"B, ]') == '"'
    assert ending("json_schema", schema, BO) == ","
    assert ending("json_schema", schema, BO + ',"colour":"rot","friends":[') == "]"
    assert ending("json_schema", schema, '{"name":"Bo","born":') is None
    assert ending("regex", "[a-z ]+[.]", "hello") == "."
    assert ending("regex", "[a-z ]+END", "hello") is None
