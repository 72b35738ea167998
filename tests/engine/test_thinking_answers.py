"""Answers with thinking before them: told apart, timed, kept for the template to decide about."""

import json

import pytest
import torch
from scripted import THINKING_TEMPLATE, say
from tiny_models import write_tiny_llama
from tokenizers import Tokenizer

from llmcli.checkpoint.store import Source
from llmcli.core.sampling import entropy_bits
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import Generation
from llmcli.engine.session import Model, load
from llmcli.engine.thinking import ThinkingFilter

SPEC = SamplingSpec(seed=1)
THOUGHT, ANSWER = "Two and two.\nFour?", "It is four."
SAID = f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"


def loaded(folder) -> Model:
    return load(check_folder(Source("folder", "tiny", folder, None)))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    folder = write_tiny_llama(tmp_path_factory.mktemp("tiny") / "model")
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "chat_template": THINKING_TEMPLATE}))
    return loaded(folder)


@pytest.fixture(autouse=True)
def template_as_it_was(model):
    yield
    model.template.think = None


def ask(conversation, text="How much?", **options):
    generation = conversation.ask(text, SPEC, **options)
    steps = list(generation)
    conversation.keep(generation)
    return generation, steps


def test_thought_and_answer_are_told_apart(model, monkeypatch):
    say(monkeypatch, model, SAID)
    conversation = Conversation(model)
    generation, steps = ask(conversation)
    assert (generation.thought, generation.text) == (THOUGHT, ANSWER)
    assert "".join(step.thought for step in steps) == THOUGHT
    assert "".join(step.text for step in steps) == ANSWER
    # The opening mark is thinking, and so is the closing one.
    first = next(step.index for step in steps if not step.thinking)
    assert all(step.thinking for step in steps[:first])
    assert not any(step.thinking for step in steps[first:])
    assert model.tokenizer.decode(generation.token_ids[:first]).endswith("</think>")
    assert conversation.messages[-1] == {
        "role": "assistant",
        "content": ANSWER,
        "reasoning_content": THOUGHT,
    }


def test_the_time_to_the_first_word_of_the_answer(model, monkeypatch):
    say(monkeypatch, model, SAID, ANSWER, "<think>\nonly")
    conversation = Conversation(model)
    generation, steps = ask(conversation)
    timings = generation.timings()
    first = next(step.index for step in steps if step.text)
    gaps = generation._clock.gaps()
    assert timings.ttfa_ms == pytest.approx(timings.ttft_ms + sum(gaps[:first]) / 1e6)
    plain, _ = ask(conversation)
    assert plain.timings().ttfa_ms == plain.timings().ttft_ms
    unfinished, _ = ask(conversation)
    assert unfinished.timings().ttfa_ms is None


def test_a_template_that_opens_the_thought_itself(model, monkeypatch):
    model.template.think = True
    say(monkeypatch, model, f"{THOUGHT}</think>{ANSWER}")
    generation, steps = ask(Conversation(model))
    assert (generation.thought, generation.text) == (THOUGHT, ANSWER)
    assert steps[0].thinking


def test_a_template_that_closes_it_at_once(model, monkeypatch):
    model.template.think = False
    say(monkeypatch, model, ANSWER)
    generation, steps = ask(Conversation(model))
    assert (generation.thought, generation.text) == ("", ANSWER)
    assert not any(step.thinking for step in steps)
    assert model.tokenizer.decode(generation.prompt_ids).endswith("</think>\n")


def test_the_template_decides_what_the_model_sees_again(model, monkeypatch):
    say(monkeypatch, model, SAID, ANSWER)
    conversation = Conversation(model)
    ask(conversation)
    kept = model.template.render(conversation.messages, add_generation_prompt=False)
    assert f"<think>\n{THOUGHT}\n</think>" in kept
    generation, _ = ask(conversation)
    assert THOUGHT not in model.tokenizer.decode(generation.prompt_ids)
    assert ANSWER in model.tokenizer.decode(generation.prompt_ids)


def test_stop_texts_are_looked_for_in_the_answer_alone(model, monkeypatch):
    say(monkeypatch, model, SAID)
    generation, _ = ask(Conversation(model), stop=["four", "Two"])
    assert (generation.thought, generation.text) == (THOUGHT, "It is ")
    assert generation.finish_reason == "stop"


def test_a_thought_that_is_cut_short_is_kept(model, monkeypatch):
    say(monkeypatch, model, SAID)
    conversation = Conversation(model)
    generation = conversation.ask("How much?", SPEC)
    for _, step in zip(range(25), generation, strict=False):
        assert step.text == ""
    shown = generation.thought
    rest, text = generation.interrupt()
    conversation.keep(generation)
    assert generation.thought == shown + rest
    assert THOUGHT.startswith(generation.thought) and text == ""
    assert conversation.messages[-1]["reasoning_content"] == generation.thought


def test_marks_that_are_special_tokens(tmp_path, monkeypatch):
    folder = write_tiny_llama(tmp_path / "model", vocab_size=330)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["[THINK]", "[/THINK]", "[OTHER]"])
    tokenizer.save(str(folder / "tokenizer.json"))
    model = loaded(folder)
    say(monkeypatch, model, f"[THINK]{THOUGHT}[/THINK][OTHER]{ANSWER}")
    generation, _ = ask(Conversation(model))
    assert len({*generation.token_ids} & model.tokenizer.special_ids) == 4  # and the end
    assert (generation.thought, generation.text) == (THOUGHT, ANSWER)


def test_entropy_is_measured_where_it_is_asked_for(model):
    prompt = model.tokenizer.encode("Hello")
    *_, step = Generation(model, prompt, SPEC, max_tokens=1, measure_entropy=True)
    logits = model.decoder.unembed(model.decoder.hidden(_row(prompt), None)[0, -1])
    assert step.entropy == pytest.approx(entropy_bits(logits), abs=1e-3)
    *_, step = Generation(model, prompt, SPEC, max_tokens=1, thinking=ThinkingFilter())
    assert step.entropy is None


def _row(ids):
    return torch.tensor([ids])


def test_entropy_in_bits():
    assert entropy_bits(torch.zeros(8)) == pytest.approx(3)
    assert entropy_bits(torch.tensor([0.0, -torch.inf, -torch.inf])) == 0
