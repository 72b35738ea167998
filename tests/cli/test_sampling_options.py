"""Sampling settings: every value with its source, and every wrong one refused."""

import dataclasses
import json
from pathlib import Path

import pytest
from tiny_models import write_json, write_tiny_llama

from llmcli.checkpoint.store import resolve
from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.cli.app import run
from llmcli.cli.sampling_options import SamplingFlags
from llmcli.cli.sampling_settings import SETTINGS, SamplingSettings
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.folder import check_folder
from llmcli.engine.grammar import Grammar
from llmcli.errors import UsageError

ROWS = 320


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tokenizer(folder):
    return Tokenizer.load(folder, ROWS)


@pytest.fixture
def settings(tokenizer):
    def make(model=(), sources=(), **flags):
        return SamplingSettings(SamplingFlags(**flags), dict(sources), dict(model), tokenizer, ROWS)

    return make


def test_with_nothing_chosen_the_samplers_own_defaults_hold(settings):
    assert settings().spec() == SamplingSpec()
    assert {s.source for s in settings().table().values()} == {"default"}


def test_a_flag_wins_over_the_model_and_the_model_over_the_default(settings):
    chosen = settings(model={"temperature": 0.3, "top_p": 0.9}, temperature=0.8)
    table = chosen.table()
    assert (table["temperature"].value, table["temperature"].source) == (0.8, "flag")
    assert (table["top_p"].value, table["top_p"].source) == (0.9, "model")
    assert (table["top_k"].value, table["top_k"].source) == (0, "default")
    assert chosen.spec() == SamplingSpec(temperature=0.8, top_p=0.9)


def test_the_table_names_every_setting_that_can_be_set(settings):
    assert set(settings().table()) == set(SETTINGS)
    spec = {field.name for field in dataclasses.fields(SamplingSpec)}
    assert spec | {"stop", "max_tokens"} == set(SETTINGS)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", "0.5", 0.5),
        ("top_k", "40", 40),
        ("--top-p", "0.9", 0.9),
        ("min-p", "0.1", 0.1),
        ("repetition_penalty", "1.1", 1.1),
        ("repeat_last_n", "-1", -1),
        ("frequency_penalty", "-0.5", -0.5),
        ("presence_penalty", "1", 1.0),
        ("stop", "###", ("###",)),
        ("seed", "7", 7),
        ("max_tokens", "12", 12),
        ("logit_bias", "5=-100 6=2.5", {5: -100.0, 6: 2.5}),
    ],
)
def test_set_and_take_back(settings, name, text, value):
    chosen = settings(model={"temperature": 0.3}, seed=1)
    key = name.lstrip("-").replace("-", "_")
    before = SamplingSettings.table(settings(model={"temperature": 0.3}))[key]
    chosen.set(name, text)
    assert (chosen.table()[key].value, chosen.table()[key].source) == (value, "/set")
    chosen.set(name, "default")
    assert chosen.table()[key] == before


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("temprature", "1", "there is no setting 'temprature'; did you mean temperature?"),
        ("temperature", "warm", "temperature must be a number, not 'warm'"),
        ("temperature", "-1", "temperature must be 0 or more, not -1.0"),
        ("temperature", "nan", "temperature must be 0 or more, not nan"),
        ("top_k", "1.5", "top_k must be a whole number, not '1.5'"),
        ("top_k", "-1", "top_k must be 0"),
        ("top_p", "0", "top_p must be above 0 and at most 1"),
        ("seed", "-1", "seed must be from 0 to"),
        ("seed", "9" * 5000, "seed must be a whole number"),
        ("max_tokens", "0", "max_tokens must be from 1 to"),
        ("logit_bias", "5", "logit bias must be TOKEN=NUMBER, not '5'"),
        ("logit_bias", "=5", "logit bias must be TOKEN=NUMBER, not '=5'"),
        ("logit_bias", "5=much", "logit bias must be TOKEN=NUMBER, not '5=much'"),
        ("logit_bias", "320=1", "logit bias: token 320 is not in the vocabulary of 320 tokens"),
        ("logit_bias", "5=inf", "logit_bias of token 5 must be a number, not inf"),
    ],
)
def test_what_cannot_be_set_changes_nothing(settings, name, text, reason):
    chosen = settings(temperature=0.5)
    before = chosen.table()
    with pytest.raises(UsageError) as caught:
        chosen.set(name, text)
    assert str(caught.value).startswith(reason)
    assert chosen.table() == before


def test_a_bias_names_its_token_by_id_by_text_or_by_special_spelling(settings, tokenizer):
    (word,) = tokenizer.encode(" the")
    chosen = settings(logit_bias=["7=1", " the=-2.5", "<|im_end|>=-100", "==3"])
    (equals,) = tokenizer.encode("=")
    assert chosen.spec().logit_bias == {7: 1.0, word: -2.5, 2: -100.0, equals: 3.0}


def test_a_bias_on_several_tokens_says_how_many_they_are(settings, tokenizer):
    count = len(tokenizer.encode("the zebra"))
    assert count > 1
    with pytest.raises(UsageError, match=f"'the zebra' is {count} tokens"):
        settings(logit_bias=["the zebra=1"])


def test_another_model_takes_the_choices_and_those_biases_that_it_has_a_token_for(settings):
    demo = check_folder(resolve("demo"))
    flags = {"temperature": 0.5, "logit_bias": [" the=-2.5", "7=1", "<|im_end|>=-3"]}
    chosen = settings(sources={"logit_bias": "profile calm"}, **flags)
    assert chosen.chosen_here()["logit_bias"] == {" the": -2.5, "7": 1.0, "<|im_end|>": -3.0}
    told = []
    table = chosen.with_model(demo, told.append).table()
    assert (table["temperature"].value, table["temperature"].source) == (0.5, "flag")
    (word,), end = demo.tokenizer.encode(" the"), demo.tokenizer.added_tokens["<|im_end|>"]
    assert table["logit_bias"].value == {word: -2.5, end: -3.0}
    assert table["logit_bias"].source == "profile calm"
    assert told == ["logit biases left out: '7' would be other tokens here"]


def test_another_model_must_have_the_special_tokens_that_a_grammar_names(settings):
    demo, chosen = check_folder(resolve("demo")), settings()
    for text in ('start: "a" <|im_end|>', 'start: "a"'):
        chosen.hold_to(Grammar.read("grammar", text), "flag")
        assert chosen.with_model(demo, pytest.fail).form == chosen.form
    chosen.hold_to(Grammar.read("grammar", 'start: "a" <|other|>'), "flag")
    with pytest.raises(UsageError) as refused:
        chosen.with_model(demo, pytest.fail)
    assert str(refused.value) == (
        'demo cannot answer in this form: grammar: at 1(8): unknown special token: "<|other|>"'
    )
    assert "/json off" in refused.value.hint


def test_one_form_of_answers_holds_and_the_nearest_source_says_which(settings):
    kept = settings()
    kept.hold_to(Grammar.read("regex", "a+"), "/json")
    values = kept.chosen_here()
    assert values == {"regex": "a+"}
    free, told = settings(), settings()
    told.hold_to(Grammar.read("json_schema", "{}"), "flag")
    for each in (free, told):
        each.restore(values, pytest.fail, foreign=False)
    assert (free.grammar.kind, free.form.source) == ("regex", "session")
    assert (told.grammar.kind, told.form.source) == ("json_schema", "flag")
    free.hold_to(None, "/json")
    assert free.grammar is None and free.chosen_here() == {}


def test_a_seed_beyond_64_bits_is_refused(settings):
    with pytest.raises(UsageError, match="seed must be from 0 to"):
        settings(seed=2**63)


def test_sources_on_the_command_line(folder, tmp_path, capsys, monkeypatch):
    copy = write_tiny_llama(tmp_path / "model")
    write_json(copy / "generation_config.json", {"eos_token_id": 2, "top_k": 9, "min_p": 0.01})
    monkeypatch.setenv("LLMCLI_TOP_P", "0.5")
    monkeypatch.setenv("LLMCLI_TEMPERATURE", "0.9")
    arguments = ["generate", str(copy), "-p", "Hello", "-n", "2", "--temp", "0.4", "--json"]
    assert run([*arguments, "--stop", "x", "--stop", "y"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    values, sources = summary["sampling"], summary["sampling_sources"]
    assert (values["temperature"], sources["temperature"]) == (0.4, "flag")
    assert (values["top_p"], sources["top_p"]) == (0.5, "variable")
    assert (values["top_k"], sources["top_k"]) == (9, "model")
    assert (values["min_p"], sources["min_p"]) == (0.01, "model")
    assert (values["seed"], sources["seed"]) == (None, "default")
    assert (values["stop"], sources["stop"]) == (["x", "y"], "flag")
    assert (values["max_tokens"], sources["max_tokens"]) == (2, "flag")


@pytest.mark.parametrize("command", ["chat", "generate"])
@pytest.mark.parametrize(
    "flags",
    [
        ["--temperature", "-1"],
        ["--temperature", "hot"],
        ["--top-k", "-1"],
        ["--top-p", "1.5"],
        ["--top-p", "0"],
        ["--min-p", "2"],
        ["--repetition-penalty", "0"],
        ["--repeat-last-n", "-2"],
        ["--seed", "-1"],
        ["--max-tokens", "0"],
        ["--logit-bias", "nothing"],
    ],
)
def test_wrong_flags_are_usage_errors(folder: Path, capsys, command, flags):
    assert run([command, str(folder), "-p", "Hello", *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
