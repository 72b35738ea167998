"""The ledger of prefix reuse: it adds up, and says where and why two prompts parted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import CHATML, write_tiny_llama

from llmcli.checkpoint.store import Source
from llmcli.core.sampling import Draw
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine import generate
from llmcli.engine.conversation import Conversation
from llmcli.engine.folder import check_folder
from llmcli.engine.ledger import Ledger
from llmcli.engine.session import Model, load

# Thinking is shown in the answer that stands last, and nowhere else, as Qwen's template has it.
FORGETFUL = CHATML.replace(
    "message['content'] + '<|im_end|>\\n'",
    "('<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' if message.reasoning_content "
    "and loop.last else '') + message['content'] + '<|im_end|>\\n'",
)
TRIMMING = CHATML.replace("message['content'] +", "message['content'] | trim +")
NUMBERED = CHATML.replace("message['role'] +", "message['role'] ~ messages | length +")

Say = Callable[..., Ledger]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("ledger"), seed=9)


def loaded(folder: Path, tmp_path: Path, template: str | None = None) -> Model:
    file = None
    if template is not None:
        file = tmp_path / "template.jinja"
        file.write_text(template)
    return load(check_folder(Source(kind="folder", name="tiny", folder=folder, commit=None), file))


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Say:
    """Ask, and have the model answer with a given text, or with given tokens."""

    def call(
        conversation: Conversation,
        question: str,
        answer: str | list[int],
        **options: Any,
    ) -> Ledger:
        tokenizer = conversation.model.tokenizer
        ids = [*(tokenizer.encode(answer) if isinstance(answer, str) else answer), 2]

        class Scripted:
            def __init__(self, *_: object) -> None: ...

            def draw(self, logits: object, prompt: object, answer: list[int], *_: object) -> Draw:
                return Draw(ids[len(answer)], -1.0)

        with monkeypatch.context() as patch:
            patch.setattr(generate, "Sampler", Scripted)
            generation = conversation.ask(question, SamplingSpec(), **options)
            list(generation)
        conversation.keep(generation)
        turn = conversation.turn
        assert turn is not None and turn.ledger is not None
        ledger = turn.ledger
        assert ledger.reused + ledger.new == len(generation.prompt_ids)
        assert ledger.reused_kv_bytes == ledger.reused * conversation.model.kv_bytes_per_token
        assert (ledger.parted_at is None) == (ledger.dropped == 0)
        return ledger

    return call


def test_a_conversation_that_goes_on_reuses_all_of_it(
    folder: Path, tmp_path: Path, say: Say
) -> None:
    conversation = Conversation(loaded(folder, tmp_path), system="Be brief.")
    assert say(conversation, "Hello.", "the cat").reason == "first_prompt"
    assert conversation.held is not None
    held = len(conversation.held.ids)
    ledger = say(conversation, "Hello.", "the hat")
    assert (ledger.reused, ledger.dropped, ledger.repeated) == (held, 0, 0)
    assert ledger.reason is None


def test_another_system_prompt_is_told(folder: Path, tmp_path: Path, say: Say) -> None:
    conversation = Conversation(loaded(folder, tmp_path), system="Be brief.")
    say(conversation, "Hello.", "the cat")
    held = conversation.context_used()
    conversation.system = "Be kind."
    ledger = say(conversation, "Hello.", "the cat")
    assert ledger.reason == "system_changed"
    assert ledger.held_text is not None and ledger.held_text.startswith("brief.")
    assert ledger.prompt_text is not None and ledger.prompt_text.startswith("kind.")
    # All of the earlier turn behind that place had to be computed once more.
    assert 0 < ledger.repeated <= held - ledger.reused


def test_a_turn_taken_back_repeats_nothing(folder: Path, tmp_path: Path, say: Say) -> None:
    conversation = Conversation(loaded(folder, tmp_path))
    say(conversation, "Hello.", "the cat")
    say(conversation, "What is a token?", "the mat")
    conversation.undo()
    ledger = say(conversation, "Where is the hat?", "the mat")
    assert (ledger.reason, ledger.repeated) == ("turn_changed", 0)
    assert ledger.dropped > 0


def test_a_template_that_drops_thinking_is_told(folder: Path, tmp_path: Path, say: Say) -> None:
    conversation = Conversation(loaded(folder, tmp_path, FORGETFUL))
    say(conversation, "Hello.", "<think>\nthe cat\n</think>\n\nthe mat")
    assert conversation.messages[-1]["reasoning_content"] == "the cat"
    ledger = say(conversation, "Hello.", "the hat")
    assert ledger.reason == "thinking_dropped"
    assert ledger.held_text is not None and ledger.held_text.startswith("<think>")
    assert ledger.prompt_text is not None and ledger.prompt_text.startswith("the mat")
    assert ledger.repeated > 0


def test_a_template_that_writes_answers_otherwise_is_told(
    folder: Path, tmp_path: Path, say: Say
) -> None:
    conversation = Conversation(loaded(folder, tmp_path, TRIMMING))
    say(conversation, "Hello.", " the cat")
    assert say(conversation, "Hello.", "the hat").reason == "history_rewritten"


def test_a_template_that_rewrites_from_the_start_is_told(
    folder: Path, tmp_path: Path, say: Say
) -> None:
    conversation = Conversation(loaded(folder, tmp_path, NUMBERED))
    say(conversation, "Hello.", "the cat")
    ledger = say(conversation, "Hello.", "the hat")
    assert ledger.reason == "history_rewritten"
    assert (ledger.held_text or "")[:1] == "1" and (ledger.prompt_text or "")[:1] == "3"


def test_an_answer_that_reads_back_as_other_tokens_is_told(
    folder: Path, tmp_path: Path, say: Say
) -> None:
    model = loaded(folder, tmp_path)
    conversation = Conversation(model)
    (word,) = model.tokenizer.encode(" the")
    letters = [id for letter in (" ", "t", "h", "e") for id in model.tokenizer.encode(letter)]
    say(conversation, "Hello.", [*letters, word, word])
    ledger = say(conversation, "Hello.", "the hat")
    assert ledger.reason == "retokenised"
    assert ledger.held_text == " the the the"
    # All three words were said before.
    assert ledger.dropped == 6 and ledger.repeated >= 3


def test_an_answer_cut_before_a_stop_text_is_told(folder: Path, tmp_path: Path, say: Say) -> None:
    conversation = Conversation(loaded(folder, tmp_path))
    say(conversation, "Hello.", "the cat sat on the mat", stop=["on the mat"])
    assert conversation.messages[-1]["content"] == "the cat sat "
    ledger = say(conversation, "Hello.", "the hat")
    assert ledger.reason == "answer_cut"
    assert ledger.held_text is not None and ledger.held_text.startswith(" on")


def test_turns_dropped_for_room_are_told(folder: Path, tmp_path: Path, say: Say) -> None:
    conversation = Conversation(loaded(folder, tmp_path), system="Be brief.")
    say(conversation, "What is a token? " * 30, "the cat")
    say(conversation, "What is a token? " * 30, "the cat")
    assert conversation.left_out == 0
    ledger = say(conversation, "What is a token? " * 20, "the cat")
    assert conversation.left_out == 1
    assert ledger.reason == "turns_dropped"
    head = conversation.template.encode(conversation.messages[:1], add_generation_prompt=False)
    assert ledger.reused >= len(head)


def test_without_a_cache_there_is_no_ledger(folder: Path, tmp_path: Path) -> None:
    conversation = Conversation(loaded(folder, tmp_path), use_cache=False)
    generation = conversation.ask("Hello.", SamplingSpec(), max_tokens=1)
    list(generation)
    conversation.keep(generation)
    assert conversation.turn is not None
    assert conversation.turn.ledger is None
