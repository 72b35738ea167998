"""Structured output and alternatives as they are typed: options, notices, JSON Lines, /json."""

import json
import subprocess
import sys

import jsonschema
import pytest

from llmcli.checkpoint.store import resolve
from llmcli.cli.app import run
from llmcli.cli.slash import answer
from llmcli.engine.folder import check_folder
from llmcli.errors import GenerationError, UsageError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SCHEMA = json.dumps(PERSON)


@pytest.fixture
def llmcli(capsys, stdin):
    def call(command, *arguments, model="demo", code=0):
        assert run([command, str(model), "-p", "Who are you?", *arguments]) == code
        return capsys.readouterr()

    return call


def lines(captured):
    *tokens, summary = map(json.loads, captured.out.splitlines())
    return tokens, summary


@pytest.mark.parametrize("command", ["chat", "generate"])
def test_the_answer_is_json_and_nothing_else(llmcli, tmp_path, command):
    (tmp_path / "schema.json").write_text(SCHEMA)
    given = llmcli(command, "--json-schema", SCHEMA, "--seed", "1", "--temperature", "1")
    jsonschema.validate(json.loads(given.out), PERSON)
    assert given.err == ""
    from_file = ("--json-schema", f"@{tmp_path / 'schema.json'}", "--seed", "1")
    assert llmcli(command, *from_file, "--temperature", "1").out == given.out
    _, summary = lines(llmcli(command, *from_file, "--temperature", "1", "--json"))
    assert summary["text"] == given.out[:-1]
    assert summary["finish_reason"] == "stop"
    assert summary["constraint"] == {"kind": "json_schema", "satisfied": True, "shortened": False}


def test_regex_and_grammar(llmcli, tmp_path, monkeypatch):
    assert llmcli("chat", "--regex", "yes|no").out in ("yes\n", "no\n")
    (tmp_path / "list.gbnf").write_text('root ::= "1. " [a-z]+\n')
    assert llmcli("chat", "--grammar", f"@{tmp_path / 'list.gbnf'}").out.startswith("1. ")
    assert llmcli("generate", "--grammar", 'start: "one"').out == "one\n"
    monkeypatch.setenv("LLMCLI_REGEX", "maybe")
    assert llmcli("chat").out == "maybe\n"


def test_room_that_does_not_suffice_is_told(llmcli):
    short = ("--json-schema", SCHEMA, "-n", "5", "--temperature", "0")
    for command in ("chat", "generate"):
        captured = llmcli(command, *short, code=1)
        assert captured.err.startswith(
            "error: the answer is not complete: there was room for 5 tokens"
        )
        assert "hint: a larger --max-tokens" in captured.err
    _, summary = lines(llmcli("generate", *short, "--json", "-q", code=1))
    assert summary["finish_reason"] == "length"
    assert summary["constraint"]["satisfied"] is False

    # The demo model never wants to end here, and is made to.
    forced = ("--grammar", 'start: "<" /[a-z ]+/ ">"', "-n", "20", "--logit-bias", ">=-50")
    forced += ("--temperature", "0")
    captured = llmcli("generate", *forced)
    assert captured.out.startswith("<") and captured.out.endswith(">\n")
    assert "brought to its end within 20 tokens" in captured.err
    _, summary = lines(llmcli("generate", *forced, "--json"))
    assert summary["finish_reason"] == "length"
    assert summary["constraint"] == {"kind": "grammar", "satisfied": True, "shortened": True}


def test_each_token_comes_with_its_alternatives(llmcli):
    arguments = ("--temperature", "1", "--seed", "3", "-n", "6", "--json")
    plain, _ = lines(llmcli("chat", *arguments))
    ranked, summary = lines(llmcli("chat", *arguments, "--logprobs", "4"))
    assert all("top_logprobs" not in token for token in plain)
    assert [token["id"] for token in ranked] == summary["token_ids"]
    for token in ranked:
        best = token["top_logprobs"]
        assert [list(one) for one in best] == [["id", "text", "logprob"]] * 4
        logprobs = [one["logprob"] for one in best]
        assert logprobs == sorted(logprobs, reverse=True)
        for one in best:
            if one["id"] == token["id"]:
                assert one["logprob"] == token["logprob"]
                break
        else:
            assert token["logprob"] <= logprobs[-1]
    # Before any sampling setting: the grammar's mask and the temperature leave them as they are.
    bound, _ = lines(llmcli("chat", *arguments, "--logprobs", "4", "--regex", "[QX]+"))
    assert bound[0]["top_logprobs"] == ranked[0]["top_logprobs"]
    assert bound[0]["id"] not in [one["id"] for one in bound[0]["top_logprobs"]]


def test_without_json_the_alternatives_are_a_table_beside_the_answer(llmcli):
    arguments = ("--temperature", "0", "-n", "3")
    plain = llmcli("chat", *arguments)
    ranked = llmcli("chat", *arguments, "--logprobs", "3")
    assert ranked.out == plain.out and plain.err == ""
    head, *rows = ranked.err.splitlines()
    assert head.split() == ["#", "token", "p", "likeliest", "others"]
    assert [row.split()[0] for row in rows] == ["0", "1", "2"]
    assert all(row.count("%") >= 3 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--json-schema", "{"), "JSON schema: EOF while parsing"),
        (("--json-schema", '{"type": "objekt"}'), "JSON schema: Invalid type: objekt"),
        (("--json-schema", "@no/such/file"), "no/such/file: No such file or directory"),
        (("--regex", "a("), "regular expression: regex parse error"),
        (("--grammar", 'start: "a" <|nothing|>'), "grammar: at 1(8): unknown special token"),
        (("--regex", "a", "--grammar", "b"), "--regex and --grammar both say what the answer"),
    ],
)
@pytest.mark.parametrize("command", ["chat", "generate"])
def test_mistakes_are_usage_errors(llmcli, monkeypatch, command, arguments, reason):
    from llmcli.cli import chat, generate

    def load(*_):
        raise AssertionError("the weights would be read")

    monkeypatch.setattr(chat, "load", load)
    monkeypatch.setattr(generate, "load", load)
    captured = llmcli(command, *arguments, code=2)
    assert captured.out == ""
    assert captured.err.startswith(f"error: {reason}")


def test_a_mistake_is_told_without_torch():
    program = (
        "import sys, threading\n"
        "from llmcli.cli.app import run\n"
        "from llmcli.engine import torch_import\n"
        "torch_import._load_libraries = threading.Event().wait\n"
        "print(run(['chat', 'demo', '-p', 'a', '--json-schema', '[']), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.stdout == "2 False\n", done.stderr


def test_too_many_alternatives_are_refused(llmcli):
    assert "'--logprobs'" in llmcli("chat", "--logprobs", "101", code=2).err


@pytest.fixture
def turns(start):
    return start(max_tokens=100, logit_bias=[])


def test_json_in_a_chat(turns, tmp_path):
    def asked(text):
        turns.output.stdout.seek(0)
        turns.output.stdout.truncate()
        answer(turns, text)
        return turns.output.stdout.getvalue()

    answer(turns, "/json")
    assert isinstance(json.loads(asked("Hello")), dict)
    (tmp_path / "list.json").write_text('{"type": "array", "items": {"type": "boolean"}}')
    answer(turns, f"/json @{tmp_path / 'list.json'}")
    assert all(one in (True, False) for one in json.loads(asked("Hello")))
    with pytest.raises(UsageError, match="Invalid type"):
        answer(turns, '/json {"type": "objekt"}')
    assert isinstance(json.loads(asked("/regen")), list)  # the last one is in force
    answer(turns, "/json off")
    assert turns.settings.grammar is None
    told = turns.output.stderr.getvalue()
    assert "answers are JSON objects" in told
    assert "answers are JSON that fits the schema" in told


def test_a_chat_keeps_an_answer_that_is_not_complete_and_goes_on(turns):
    answer(turns, "/json")
    answer(turns, "/set max_tokens 1")
    with pytest.raises(GenerationError, match="there was room for 1 token, too few"):
        answer(turns, "Hello")
    assert turns.conversation.messages[-1]["role"] == "assistant"
    answer(turns, "/set max_tokens 100")
    answer(turns, "/regen")
    assert isinstance(json.loads(turns.conversation.messages[-1]["content"]), dict)


def test_why_shows_the_mask(turns):
    answer(turns, '/json {"enum": ["a", "b"]}')
    answer(turns, "Hello")
    answer(turns, "/why 1")
    assert "mask of the grammar keeps 2" in turns.output.stderr.getvalue()


def test_the_options_are_those_of_one_vocabulary():
    """The check before loading warms the cache that the answer takes the vocabulary from."""
    from llmcli.cli.answer_options import AnswerFlags, grammar_of
    from llmcli.cli.output import Output
    from llmcli.engine.grammar import vocabulary
    from llmcli.engine.session import load

    checked = check_folder(resolve("demo"))
    grammar_of(AnswerFlags(regex="a"), checked, Output())
    model = load(checked)
    before = vocabulary.cache_info().hits
    vocabulary(model.tokenizer, model.decoder.config.vocab_size, model.stop_ids)
    assert vocabulary.cache_info().hits == before + 1
