"""The settings of a session: they come back with it, and those that cannot are left out aloud."""

import json

import pytest
from kept_chats import SAID, told

from llmcli.cli.slash import answer


def test_another_model_goes_on_and_that_is_told(chat, store, tmp_path):
    first = chat()
    answer(first, "/set logit_bias 5=100 ␣the=99")
    answer(first, "/set top_k 7")
    first.take("Hello")
    name = first.keeper.name
    file = store.path(name)
    file.write_text(file.read_text().replace('"tiny"', '"org/other\\u001b[31m"', 1))
    second = chat(resume=name, sampling={"logit_bias": None})
    lines = told(second)
    assert "it was made with org/other\\x1b[31m; tiny goes on with it\n" in lines
    assert "logit biases left out: '5' would be other tokens here\n" in lines
    table = second.settings.table()
    (word,) = second.conversation.model.tokenizer.encode(" the")
    assert (table["logit_bias"].value, table["logit_bias"].source) == ({word: 99.0}, "session")
    assert table["top_k"].source == "session"


def test_what_answers_must_look_like_is_kept(chat):
    first = chat(sampling={"max_tokens": 20})
    answer(first, '/json {"enum": ["a", "b"]}')
    first.take("Hello")
    second = chat(continue_last=True, sampling={"max_tokens": 20})
    assert "answers have to fit its JSON schema; /json off ends that\n" in told(second)
    second.take("Again")
    assert json.loads(second.conversation.messages[-1]["content"]) in ("a", "b")
    answer(second, "/json off")
    second.save()
    third = chat(continue_last=True)
    assert "JSON" not in told(third)
    third.take("Hello")
    assert third.conversation.messages[-1]["content"] == SAID


def test_a_form_that_names_what_the_model_lacks_is_left_out(chat, store):
    first = chat()
    first.take("Hello")
    file = store.path(first.keeper.name)
    head, rest = file.read_text().split("\n", 1)
    kept = json.loads(head)
    kept["settings"] = {"top_k": 7, "grammar": 'start: "a" <|other|>'}
    file.write_text(f"{json.dumps(kept)}\n{rest}")
    second = chat(continue_last=True)
    lines = told(second)
    assert "its form of answers is left out: grammar: at 1(8): unknown special token" in lines
    assert "have to fit" not in lines
    assert second.settings.table()["top_k"].source == "session"
    assert second.take("Hello") == "length"
    assert second.conversation.messages[-1]["content"] == SAID


@pytest.mark.parametrize(
    "settings",
    [
        {"warmth": 1},
        {"temperature": "hot"},
        {"temperature": True},
        {"temperature": -1},
        {"top_k": 1.5},
        {"stop": "x"},
        {"stop": [1]},
        {"logit_bias": {"320": 1}},
        {"logit_bias": {"five": 1}},
        {"logit_bias": {"5": "much"}},
        {"logit_bias": [5]},
        {"seed": None},
        {"json_schema": 1},
        {"regex": "("},
    ],
)
def test_settings_that_cannot_be_are_left_out(chat, store, settings):
    first = chat()
    first.take("Hello")
    file = store.path(first.keeper.name)
    head, rest = file.read_text().split("\n", 1)
    head = json.dumps({**json.loads(head), "settings": settings})
    file.write_text(f"{head}\n{rest}")
    second = chat(continue_last=True)
    assert "its settings are left out: " in told(second)
    assert "session" not in {s.source for s in second.settings.table().values()}
    assert second.take("Go on") == "length"
