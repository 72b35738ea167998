"""Answers under a grammar: what ends by itself satisfies it, whatever the model, seed and room."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tiny_models import CHATML, write_json, write_tiny_llama

from llmcli.checkpoint.store import Source, resolve
from llmcli.core.sampling import Draw
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.constrain import ConstrainedAnswer
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import Generation
from llmcli.engine.grammar import Grammar, Vocabulary
from llmcli.engine.session import Model, load
from llmcli.engine.thinking import thinking_filter
from llmcli.errors import UsageError

SCHEMAS: dict[str, dict[str, Any]] = {
    "person": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "any object": {"type": "object"},
    "strings": {"type": "array", "items": {"type": "string"}},
    "choices": {
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "green", "blue"]},
            "ok": {"type": "boolean"},
            "price": {"type": ["number", "null"]},
        },
        "required": ["colour", "ok", "price"],
    },
    "tree": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "title": {"type": "string", "maxLength": 20},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
                },
                "required": ["title", "children"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    },
    "date": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
}
SPECS = [SamplingSpec(temperature=0.0), *(SamplingSpec(seed=seed) for seed in range(8))]
GREEDY = SPECS[0]


def load_folder(folder: Path) -> Model:
    return load(check_folder(Source("folder", "tiny", folder, None)))


@pytest.fixture(scope="module")
def demo() -> Model:
    return load(check_folder(resolve("demo")))


@pytest.fixture(scope="module")
def nonsense(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Random weights: every token is about as likely as any other."""
    return load_folder(write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model", seed=3))


def ask(model: Model, grammar: Grammar, spec: SamplingSpec, **options: Any) -> Generation:
    question = "What is the capital of France?"
    generation = Conversation(model).ask(question, spec, grammar=grammar, **options)
    list(generation)
    return generation


def schema(name: str) -> Grammar:
    return Grammar.read("json_schema", json.dumps(SCHEMAS[name]))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_demo_model_always_ends_in_valid_json(demo: Model, name: str) -> None:
    for spec in SPECS:
        generation = ask(demo, schema(name), spec)
        jsonschema.validate(json.loads(generation.text), SCHEMAS[name])
        assert generation.finish_reason == "stop" and not generation.constrained.shortened


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_model_that_never_would_is_brought_to_the_end(nonsense: Model, name: str) -> None:
    """Of its stop id nothing is left: it would fill the room."""
    for seed in range(4):
        spec = SamplingSpec(seed=seed, logit_bias={2: -100.0})
        generation = ask(nonsense, schema(name), spec, max_tokens=150)
        jsonschema.validate(json.loads(generation.text), SCHEMAS[name])
        ended = "length" if generation.constrained.shortened else "stop"
        assert generation.finish_reason == ended
        assert len(generation.token_ids) <= 150


def test_the_demo_model_adds_no_properties_of_its_own(demo: Model) -> None:
    """`choices` allows them, and one that says so gets them."""
    named = set(SCHEMAS["choices"]["properties"])
    free = json.dumps({**SCHEMAS["choices"], "additionalProperties": True})
    more = set[str]()
    for spec in SPECS:
        assert set(json.loads(ask(demo, schema("choices"), spec).text)) == named
        more |= set(json.loads(ask(demo, Grammar.read("json_schema", free), spec).text))
    assert more > named


def test_the_end_of_the_context_is_an_end_of_the_room_too(nonsense: Model) -> None:
    bracket = nonsense.tokenizer.encode("]")[0]
    spec = SamplingSpec(seed=1, logit_bias={2: -100.0, bracket: -20.0})
    generation = ask(nonsense, schema("strings"), spec)
    jsonschema.validate(json.loads(generation.text), SCHEMAS["strings"])
    assert generation.finish_reason == "context" and generation.constrained.shortened
    used = len(generation.prompt_ids) + len(generation.token_ids)
    assert nonsense.context - 1 <= used <= nonsense.context  # no room was given away


def test_room_that_is_too_short_is_no_stop(demo: Model) -> None:
    generation = ask(demo, schema("person"), GREEDY, max_tokens=5)
    assert generation.finish_reason == "length"
    assert not generation.constrained.matches(generation.text)


def test_regular_expressions_and_grammars_hold(demo: Model, nonsense: Model) -> None:
    for spec in SPECS[:4]:
        assert ask(demo, Grammar.read("regex", "^(Paris|Rome)$"), spec).text in ("Paris", "Rome")
        number = ask(nonsense, Grammar.read("regex", r"-?[0-9]{1,4}"), spec).text
        assert abs(int(number)) < 10_000
        grammar = Grammar.read("grammar", 'root ::= "- " [a-z]+ ("\\n- " [a-z]+)?')
        text = ask(nonsense, grammar, spec, max_tokens=30).text
        assert all(line.startswith("- ") for line in text.split("\n"))


def test_without_a_grammar_nothing_changes(demo: Model) -> None:
    free = Conversation(demo).ask("What is a token?", SPECS[1])
    assert free.constrained is None
    anything = Grammar.read("regex", r"(?s:.*)")
    bound = Conversation(demo).ask("What is a token?", SPECS[1], grammar=anything)
    assert [step.token for step in free] == [step.token for step in bound]
    assert bound.finish_reason == "stop"


def test_a_stop_text_ends_the_answer_only_where_it_is_complete(demo: Model) -> None:
    whole = ask(demo, schema("person"), GREEDY).text
    assert '"age"' in whole
    assert ask(demo, schema("person"), GREEDY, stop=['"age"', ":"]).text == whole
    words = Grammar.read("regex", r"[A-Z][a-z ]+\.?")
    sentence = ask(demo, words, GREEDY)
    cut = ask(demo, words, GREEDY, stop=[" is"])
    assert cut.text == sentence.text[: sentence.text.index(" is")]
    assert cut.finish_reason == "stop" and cut.constrained.matches(cut.text)


def test_a_model_without_a_stop_id_stops_where_nothing_more_may_come(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path, eos_token_id=None)
    for name in ("generation_config.json", "tokenizer_config.json"):
        (folder / name).unlink()
    model = load_folder(folder)
    assert not model.stop_ids
    grammar = Grammar.read("regex", "[a-c]{5}")
    generation = Generation(model, [5, 6], SPECS[1], grammar=grammar)
    list(generation)
    assert generation.finish_reason == "stop" and len(generation.text) == 5


def test_a_thought_before_the_answer_is_free(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path, seed=3)
    template = CHATML.replace("assistant\\n' }}", "assistant\\n<think>\\n' }}")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    write_json(folder / "tokenizer_config.json", {**config, "chat_template": template})
    model = load_folder(folder)
    ids = model.template.encode([{"role": "user", "content": "Hello"}])
    said = model.tokenizer.encode(" the cat sat</think>")
    generation = Generation(
        model,
        ids,
        SPECS[1],
        thinking=thinking_filter(model.template, model.tokenizer, ids),
        given=[Draw(token, 0.0) for token in said],  # random weights would never close a thought
        grammar=schema("date"),
    )
    list(generation)
    assert generation.thought == "the cat sat"
    jsonschema.validate(json.loads(generation.text), SCHEMAS["date"])
    assert generation.constrained.mask_after(said[:2]) is None
    assert generation.constrained.mask_after(said) is not None


def test_a_token_that_may_open_a_thought_is_allowed_once_and_first(demo: Model) -> None:
    vocabulary = Vocabulary(demo.tokenizer, 3072, demo.stop_ids)
    opening = 100
    answer = ConstrainedAnswer(schema("date"), vocabulary, openings=[opening])
    logits = answer_logits = demo.decoder.unembed(demo.decoder.embed.weight[5])
    seen = []

    def draw(mask, token=opening):
        seen.append(bool(mask.barrier[opening] == 0))
        return Draw(token, 0.0)

    quote = vocabulary.bytes_to_id[b'"']
    answer.choose(draw, logits, 900, inside=False)
    answer.choose(lambda mask: draw(mask, 7), logits, 900, inside=True)  # anything goes
    answer.choose(lambda mask: draw(mask, quote), answer_logits, 900, inside=False)
    answer.choose(lambda mask: draw(mask, vocabulary.bytes_to_id[b"1"]), logits, 900, inside=False)
    assert seen == [True, True, False, False]


def test_what_is_given_must_follow_the_grammar_too(demo: Model) -> None:
    conversation = Conversation(demo)
    first = conversation.ask("Hello", GREEDY, grammar=schema("date"))
    list(first)
    conversation.keep(first)
    quote, two = first.token_ids[0], demo.tokenizer.encode("2")[0]
    assert demo.tokenizer.token(quote) == '"'
    other = conversation.fork(1, Draw(two, 0.0), GREEDY, grammar=schema("date"))
    list(other)
    conversation.keep(other)
    assert other.text.startswith('"2')
    jsonschema.validate(json.loads(other.text), SCHEMAS["date"])
    word = demo.tokenizer.encode(" the")[0]
    with pytest.raises(UsageError, match="does not allow"):
        list(conversation.fork(1, Draw(word, 0.0), GREEDY, grammar=schema("date")))
