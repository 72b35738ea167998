"""Slash commands on the last answer's tokens: /why, /fork, /tokens."""

import re

import pytest

from llmcli.cli.slash import answer
from llmcli.errors import UsageError


@pytest.fixture
def turns(start):
    return start()


def answer_ids(turns) -> list[int]:
    return turns.conversation.need_last().generation.token_ids


def test_why_shows_the_stages_and_marks_the_drawn_token(start, told):
    turns = start(temperature=0.7, top_k=5, top_p=0.9, presence_penalty=0.5)
    turns.take("Hello")
    told(turns)
    answer(turns, "/why 3")
    text = told(turns)
    head, columns, *table = text.splitlines()
    assert head.startswith("token 3 (of 0 to 11) came after …")
    stages = ["penalties", "bias", "temp", "top-k", "top-p", "min-p"]
    assert columns.split() == ["#", "token", "id", "logit", "model", *stages]
    (drawn,) = [line for line in table if line.endswith("← drawn")]
    assert drawn.split()[2] == str(answer_ids(turns)[3])
    assert "%" in drawn.split()[-3]
    assert sum(line.endswith("cut") for line in table) >= 5
    assert "order: penalties presence 0.5 → bias on 1 → temperature 0.7 → top-k 5 keeps 5, " in text
    assert re.search(r"entropy \d\.\d\d bits before, \d\.\d\d after; [1-5] of 320 tokens", text)


def test_why_at_temperature_zero_says_that_nothing_is_drawn(start, told):
    turns = start(temperature=0)
    turns.take("Hello")
    told(turns)
    answer(turns, "/why")
    text = told(turns)
    assert "token 11 (of 0 to 11)" in text
    assert text.count("← taken") == 1
    assert "the likeliest, nothing is drawn" in text


def test_fork_takes_the_next_best_and_computes_one_token(start, told):
    turns = start(temperature=0)
    turns.take("Hello")
    first = answer_ids(turns)
    told(turns)
    answer(turns, "/why 4")
    listed = [line.split() for line in told(turns).splitlines()[2:12]]
    turns.output.stdout.seek(0)
    turns.output.stdout.truncate()
    answer(turns, "/fork 4")
    second = answer_ids(turns)
    assert second[:4] == first[:4]
    assert str(second[4]) == listed[1][2] != str(first[4])
    # The whole answer is shown, not only what is new of it.
    assert turns.output.stdout.getvalue() == turns.conversation.messages[-1]["content"] + "\n"
    assert turns.timings.new_prompt_tokens == 1
    assert turns.conversation.turn.ledger.new == 1
    assert len(turns.conversation.messages) == 3


@pytest.mark.parametrize(
    ("given", "chosen"), [("#3", None), ("100", 100), ("␣the", " the"), ("<|im_end|>", 2)]
)
def test_fork_takes_a_named_token(start, given, chosen):
    turns = start(temperature=0)
    turns.take("Hello")
    if given == "#3":
        from llmcli.views import next_token

        generation = turns.conversation.need_last().generation
        ids = generation.token_ids[:-2]
        view = next_token.run(
            generation.model, generation.prompt_ids, generation.sampling, answer_ids=ids
        )
        chosen = view.candidates[2].id
    if isinstance(chosen, str):
        (chosen,) = turns.conversation.model.tokenizer.encode(chosen)
    answer(turns, f"/fork -2 {given}")
    assert answer_ids(turns)[10] == chosen
    assert len(answer_ids(turns)) == (11 if chosen == 2 else 12)


def test_forking_to_the_token_that_is_there_is_refused(turns):
    turns.take("Hello")
    with pytest.raises(UsageError, match="already"):
        answer(turns, f"/fork 2 {answer_ids(turns)[2]}")


@pytest.mark.parametrize("given", ["#0", "#400", "#" + "9" * 5000, "9" * 5000, "the " * 5000])
def test_forking_to_what_is_no_token_is_refused_in_one_line(turns, given):
    turns.take("Hello")
    with pytest.raises(UsageError) as refused:
        answer(turns, f"/fork 2 {given}")
    assert len(str(refused.value)) < 120


def test_tokens_are_numbered_with_visible_spaces(turns, told):
    answer(turns, "/tokens Hello the hat")
    table = [line.split() for line in told(turns).splitlines()]
    the, hat = turns.conversation.model.tokenizer.encode(" the")[0], "hat"
    assert [row for row in table if row[1:3] == [str(the), "␣the"]]
    assert any(hat in row[-1] for row in table[1:-1])
    turns.take("Hello")
    told(turns)
    answer(turns, "/tokens")
    table = [line.split() for line in told(turns).splitlines()]
    assert [int(row[1]) for row in table[1:-1]] == answer_ids(turns)
    assert table[-1] == ["12", "tokens"]
