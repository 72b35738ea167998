"""A full context: whole oldest turns go, it is told which, and the system prompt never goes."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tiny_models import write_tiny_llama

from llmcli.checkpoint.store import Source
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import Generation, prefill
from llmcli.engine.overflow import Overflow, answer_room, turns_to_drop, without_oldest
from llmcli.engine.session import Model, load
from llmcli.errors import PromptError

# No end of text, and nothing that reads back as other tokens.
LONG = "What is a token? " * 9
GREEDY = SamplingSpec(temperature=0.0, logit_bias={2: -100.0, 0: -100.0})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_llama(
        tmp_path_factory.mktemp("overflow"), seed=9, max_position_embeddings=160
    )
    return load(check_folder(Source(kind="folder", name="tiny", folder=folder, commit=None)))


def say(conversation: Conversation, text: str, max_tokens: int | None = 8) -> Generation:
    generation = conversation.ask(text, GREEDY, max_tokens=max_tokens)
    list(generation)
    conversation.keep(generation)
    return generation


def started(model: Model, policy: Overflow, *, use_cache: bool = True) -> Conversation:
    """A conversation with a system prompt and two turns, which takes up most of the context."""
    conversation = Conversation(model, system="Be brief.", on_overflow=policy, use_cache=use_cache)
    say(conversation, "The cat sat on the mat.")
    say(conversation, "What is a token?")
    return conversation


def ids_of(conversation: Conversation, messages: Sequence[dict[str, str]]) -> list[int]:
    return conversation.template.encode(messages)


def test_drop_oldest_forgets_whole_turns_and_says_which(model: Model) -> None:
    conversation = started(model, "drop-oldest")
    generation = say(conversation, LONG)
    turn = conversation.turn
    assert turn is not None
    (drop,) = turn.drops
    assert (drop.turns, drop.questions, drop.at) == (1, ("The cat sat on the mat.",), 0)
    system, first, first_answer, *rest = conversation.messages[:-1]
    assert generation.prompt_ids == ids_of(conversation, [system, *rest])
    # Nothing is lost but from the prompt.
    assert (first["content"], first_answer["role"]) == ("The cat sat on the mat.", "assistant")
    with_it = ids_of(conversation, conversation.messages[:-1])
    assert drop.tokens == len(with_it) - len(generation.prompt_ids)
    assert len(with_it) > model.context - 8 >= len(generation.prompt_ids)
    assert conversation.context_used() < model.context


def test_what_was_forgotten_is_told_once(model: Model) -> None:
    conversation = started(model, "drop-oldest")
    say(conversation, LONG)
    conversation.undo()
    say(conversation, LONG)
    assert conversation.turn is not None
    assert (conversation.turn.drops, conversation.left_out) == ([], 1)


@pytest.mark.parametrize("policy", ["drop-oldest", "shift"])
def test_the_system_prompt_never_goes(model: Model, policy: Overflow) -> None:
    conversation = Conversation(model, system="Be brief.", on_overflow=policy)
    for number in range(12):
        generation = say(conversation, f"{number} What is the cat? The cat sat.", max_tokens=30)
        head = conversation.template.encode(
            [{"role": "system", "content": "Be brief."}], add_generation_prompt=False
        )
        for index in range(len(generation.token_ids)):
            assert generation.prompt_of(index)[: len(head)] == head
    assert conversation.left_out > 5
    assert conversation.system == "Be brief."


def test_stop_refuses_and_leaves_the_conversation_as_it_was(model: Model) -> None:
    conversation = started(model, "stop")
    before = [*conversation.messages]
    with pytest.raises(PromptError, match="the context of 160 holds 159") as caught:
        say(conversation, LONG)
    assert "--on-overflow drop-oldest" in str(caught.value.hint)
    assert conversation.messages == before


def test_what_was_dropped_for_a_question_returns_with_it(model: Model) -> None:
    conversation = started(model, "drop-oldest")
    before = [*conversation.messages]
    generation = conversation.ask(LONG, GREEDY, max_tokens=8)
    assert conversation.left_out == 1
    generation.interrupt()  # before its first word
    conversation.keep(generation)
    assert (conversation.messages, conversation.left_out) == (before, 0)


def test_a_question_that_cannot_fit_drops_nothing(model: Model) -> None:
    conversation = started(model, "drop-oldest")
    before = [*conversation.messages]
    with pytest.raises(PromptError):
        say(conversation, "word " * 160)
    assert (conversation.messages, conversation.left_out) == (before, 0)


@pytest.mark.parametrize("use_cache", [True, False])
def test_shift_goes_on_as_if_the_turns_had_never_been_there(model: Model, use_cache: bool) -> None:
    conversation = started(model, "shift", use_cache=use_cache)
    generation = say(conversation, "Hello.", max_tokens=80)
    turn = conversation.turn
    assert turn is not None
    assert generation.finish_reason == "length"
    assert [drop.turns for drop in turn.drops if drop.at] == [1, 1]
    at = [drop.at for drop in turn.drops]
    system, question = conversation.messages[0], conversation.messages[-2]
    assert generation.prompt_of(at[-1]) == ids_of(conversation, [system, question])
    assert len(generation.prompt_of(0)) > len(generation.prompt_of(at[0]))
    # Each token is the best after the prompt of its time, computed from nothing.
    for index, token in enumerate(generation.token_ids):
        ids = [*generation.prompt_of(index), *generation.token_ids[:index]]
        assert len(ids) < model.context
        logits = prefill(model.decoder, ids, None).clone()
        logits[[0, 2]] = -torch.inf
        assert float(logits[token]) == pytest.approx(float(logits.max()), abs=1e-4)
    if use_cache:
        held = conversation.held
        assert held is not None
        now = [*generation.prompt_of(80), *generation.token_ids[:-1]]
        assert (held.ids, held.cache.length) == (now, len(now))
    # The room that was asked for before the turn went is there in the end.
    assert len(generation.prompt_of(80)) + 80 < model.context


def test_shift_stops_where_nothing_is_left_to_go(model: Model) -> None:
    conversation = started(model, "shift")
    generation = say(conversation, "Hello.", max_tokens=None)
    assert generation.finish_reason == "context"
    assert len(generation.prompt_of(10**6)) + len(generation.token_ids) == model.context
    assert conversation.left_out == 2
    assert conversation.context_used() <= model.context  # whatever the template would write behind


def test_turns_begin_with_questions() -> None:
    messages = [{"role": role, "content": ""} for role in ("system", "user", "assistant") * 1]
    messages += [{"role": role, "content": ""} for role in ("user", "user", "assistant", "user")]
    roles = [message["role"] for message in without_oldest(messages, 2)]
    assert roles == ["system", "user", "assistant", "user"]
    assert without_oldest(messages, 4) == messages[:1]
    assert turns_to_drop(messages, 0, 4, len) == 2
    assert turns_to_drop(messages, 0, 1, len) == 3  # the last question stays
    assert turns_to_drop(messages, 3, 1, len) == 3


def test_more_goes_than_must_but_not_the_turn_before_the_question() -> None:
    turn = [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]
    question = turn[:1]
    assert turns_to_drop(turn * 10 + question, 0, 20, len) == 3  # 15 of 20 are aimed at
    assert turns_to_drop(turn * 10 + question, 2, 16, len) == 5
    assert turns_to_drop(turn * 2 + question, 0, 3, len) == 1  # 2 could not be had with a turn
    assert turns_to_drop(turn * 2 + question, 0, 2, len) == 2


@pytest.mark.parametrize("policy", ["drop-oldest", "shift"])
def test_a_full_conversation_reuses_most_of_itself(policy: Overflow, tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path, seed=9, max_position_embeddings=700)
    model = load(check_folder(Source(kind="folder", name="tiny", folder=folder, commit=None)))
    word = model.tokenizer.encode(" the")[0]  # answers that read back as the tokens they were
    conversation = Conversation(model, system="Be brief.", on_overflow=policy)
    reused = computed = n_drops = 0
    for number in range(60):
        question = f"{number} What is a token?"
        generation = conversation.ask(question, SamplingSpec(logit_bias={word: 100}), max_tokens=8)
        list(generation)
        conversation.keep(generation)
        turn = conversation.turn
        assert turn is not None and turn.ledger is not None
        if conversation.left_out:
            reused += turn.ledger.reused
            computed += turn.ledger.new
            n_drops += bool(turn.drops)
            assert len(generation.prompt_ids) > model.context // 2
    assert conversation.left_out > 20
    assert 1 < n_drops < 10
    assert reused / (reused + computed) > 0.75  # 0.04 with as few gone as must go


def test_room_for_an_answer() -> None:
    assert answer_room(1024, None) == 128
    assert answer_room(131072, None) == 512
    assert answer_room(1024, 16) == 16
    assert answer_room(4, None) == 1
