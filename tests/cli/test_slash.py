"""Slash commands as typed: what each does, and what is said where it cannot."""

import pytest

from llmcli.cli.slash import COMMANDS, answer
from llmcli.errors import UsageError


@pytest.fixture
def turns(start):
    """A chat whose every answer is ` the` twelve times, until its settings change."""
    turns = start(logit_bias=[" the=100"])
    turns.conversation.system = None
    return turns


def test_a_question_and_a_text_with_a_slash(turns):
    assert answer(turns, "Hello /exit") is True
    assert answer(turns, "//exit is a command") is True
    questions = [m["content"] for m in turns.conversation.messages if m["role"] == "user"]
    assert questions == ["Hello /exit", "/exit is a command"]


@pytest.mark.parametrize("text", ["/exit", "/bye", "/quit"])
def test_leaving(turns, text):
    assert answer(turns, text) is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/statz", r"there is no command /statz; did you mean /stats\?"),
        ("/", "there is no command /$"),
        ("/xyzzy", "there is no command /xyzzy$"),
        ("/undo", "there is no question yet"),
        ("/regen", "there is no question yet"),
        ("/stats", "there is no answer yet"),
        ("/clear all", "/clear takes nothing after it"),
        ("/set temprature", "there is no setting 'temprature'; did you mean temperature"),
        ("/set temperature hot", "temperature must be a number"),
        ("/set warmth 1", "there is no setting 'warmth'"),
    ],
)
def test_what_cannot_be_done_is_said(turns, text, reason):
    with pytest.raises(UsageError, match=reason):
        answer(turns, text)


def test_help_names_every_command(turns, told):
    assert answer(turns, "/help") is True
    text = told(turns)
    assert all(f"/{command.usage}" in text for command in COMMANDS.values())
    assert turns.output.stdout.getvalue() == ""


def test_set_changes_the_next_answer_and_lists_where_values_come_from(turns, told):
    answer(turns, "/set max_tokens 3")
    answer(turns, "Hello")
    assert turns.conversation.messages[-1]["content"] == " the" * 3
    told(turns)
    answer(turns, "/set --min-p")
    assert told(turns) == "min_p 0.0 (default)\n"
    answer(turns, "/set")
    rows = [line.split() for line in told(turns).splitlines()]
    assert ["max_tokens", "3", "/set"] in rows
    assert ["seed", "1", "flag"] in rows
    assert ["temperature", "1.0", "default"] in rows
    assert ["stop", "none", "default"] in rows


def test_system_is_shown_replaced_and_removed(turns, told):
    answer(turns, "/system")
    assert told(turns) == "no system prompt\n"
    answer(turns, "/system Be brief.\nAnd kind.")
    assert turns.conversation.system == "Be brief.\nAnd kind."
    told(turns)
    answer(turns, "/system")
    assert told(turns) == "Be brief.\nAnd kind.\n"
    answer(turns, "Hello")
    answer(turns, "/clear")
    assert turns.conversation.messages == [{"role": "system", "content": "Be brief.\nAnd kind."}]
    answer(turns, '/system ""')
    assert turns.conversation.messages == []


def test_undo_takes_back_one_turn(turns, told):
    turns.take("Hello")
    turns.take("Again")
    told(turns)
    answer(turns, "/undo")
    assert told(turns) == "taken back: Again\n"
    assert [m["content"] for m in turns.conversation.messages] == ["Hello", " the" * 12]
    turns.take("word " * 200)  # perhaps a file
    told(turns)
    answer(turns, "/undo")
    assert len(told(turns)) < 450


def test_regen_answers_the_last_question_anew(turns):
    turns.take("Hello")
    answer(turns, "/set max_tokens 2")
    answer(turns, "/regen")
    assert [m["content"] for m in turns.conversation.messages] == ["Hello", " the" * 2]
    assert turns.timings.new_prompt_tokens == 1


def test_regen_that_brings_nothing_keeps_the_old_answer(turns, monkeypatch):
    from llmcli.engine import generate

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    turns.take("Hello")
    with monkeypatch.context() as patch:
        patch.setattr(generate, "prefill", interrupted)
        answer(turns, "/regen")
    assert [m["content"] for m in turns.conversation.messages] == ["Hello", " the" * 12]
