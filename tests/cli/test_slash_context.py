"""The context in sight: budget, ledger, overflow; and /model."""

import json
import re

import pytest
from tiny_models import write_tiny_llama

from llmcli.checkpoint.store import Source
from llmcli.cli.app import run
from llmcli.cli.slash import answer
from llmcli.engine.folder import check_folder
from llmcli.engine.session import load
from llmcli.errors import ModelNotFoundError, UsageError


@pytest.fixture
def turns(start):
    return start()


def rows(text: str) -> dict[str, str]:
    return dict(re.split("  +", line, maxsplit=1) for line in text.splitlines() if "  " in line)


def test_model_goes_on_with_the_same_messages(start, tmp_path, told):
    turns = start()
    turns.take("Hello")
    messages = turns.conversation.messages
    other = load(check_folder(Source("folder", "other", write_tiny_llama(tmp_path), None)))

    def loaded(name, settings):
        if name != "other":
            raise ModelNotFoundError(f"{name}: no such model")
        return other, settings

    turns._load = loaded
    with pytest.raises(ModelNotFoundError):
        answer(turns, "/model none")
    assert turns.conversation.model.name == "tiny"
    told(turns)
    answer(turns, "/model other")
    assert told(turns) == "other · float32 on cpu · context 512 tokens\n"
    assert turns.conversation.messages == messages
    with pytest.raises(UsageError, match="made earlier, or by another model"):
        answer(turns, "/why")
    turns.take("Hello")
    assert len(turns.conversation.messages) == 5


def test_stats_show_budget_and_ledger(turns, told):
    turns.take("Hello")
    turns.conversation.system = "Be kind."
    turns.take("Hello")
    told(turns)
    answer(turns, "/stats")
    shown = rows(told(turns))
    timings = turns.timings
    counts = [int(shown[name].split()[0]) for name in ("system prompt", "history", "last message")]
    assert sum(counts) == timings.prompt_tokens
    assert shown["room for the answer"].split()[0] == str(512 - timings.prompt_tokens)
    assert shown["reused"].startswith(f"{timings.cached_tokens} tokens, ")
    assert shown["new"].startswith(f"{timings.new_prompt_tokens} tokens; ")
    assert shown["why not more"] == "the system prompt changed"
    assert shown[f"at token {timings.cached_tokens}"].startswith("the cache had “brief.")


def test_a_large_recomputation_is_told_of_at_a_terminal(start, told):
    for terminal, lines in ((True, 1), (False, 0)):
        turns = start(terminal=terminal)
        turns.take("What is a token? " * 20)
        turns.conversation.system = "Be kind."
        turns.take("Hello")
        text = told(turns).replace("\n", " ")
        assert text.count("computed again: the system prompt changed") == lines


def test_drops_are_announced_with_what_was_dropped(start, told):
    turns = start()
    for number in range(7):
        turns.take(f"{number} What is a token? " + "What is the cat? " * 10)
    excerpts = ", ".join(
        f"“{number} What is a token? What is the cat? What…”" for number in range(3)
    )
    announced = re.findall(
        r"^the context of 512 tokens is nearly full: forgetting the 3 oldest turns \(\d+ tokens\): "
        + re.escape(excerpts)
        + "$",
        told(turns),
        re.MULTILINE,
    )
    assert len(announced) == 1
    assert turns.conversation.left_out == 3
    answer(turns, "/stats")
    assert rows(told(turns))["history"].endswith("the 3 oldest turns left out")


def test_a_shift_is_announced_when_the_answer_is_over(start, told):
    turns = start(overflow="shift", max_tokens=450)
    turns.take("What is a token?")
    assert told(turns) == ""
    turns.settings.set("max_tokens", "100")
    turns.take("Hello")
    assert re.match(
        r"the context of 512 tokens (is nearly full|filled at token \d+ of the answer): forgetting "
        r"the oldest turn \(\d+ tokens\): “What is a token\?”\n",
        told(turns),
    )


def test_json_tells_budget_prefix_and_drops(tiny_folder, capsys, stdin):
    assert (
        run(["chat", str(tiny_folder), "-p", "Hello", "-s", "Be brief.", "-n", "3", "--json"]) == 0
    )
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    budget = last["budget"]
    prompt = last["prompt_tokens"]
    assert budget["system"] + budget["history"] + budget["message"] == prompt
    assert (budget["context"], budget["room"]) == (512, 512 - prompt)
    assert budget["system"] > 0 == budget["history"]
    assert (last["prefix"]["new"], last["prefix"]["reason"]) == (prompt, "first_prompt")
    assert last["drops"] == []


@pytest.mark.parametrize("policy", ["stop", "drop-oldest", "shift"])
def test_the_policy_is_an_option(tiny_folder, capsys, stdin, policy):
    assert run(["chat", str(tiny_folder), "-p", "Hello", "-n", "1", "--on-overflow", policy]) == 0
    assert run(["chat", str(tiny_folder), "-p", "Hello", "--on-overflow", "forget"]) == 2
