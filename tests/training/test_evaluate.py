"""What the examination promises, and the few answers of the bundled model that must never break."""

import pytest
from tokenizers import Tokenizer

from llmcli.core.model import Decoder
from training import export
from training.evaluate import (
    BEGIN,
    CATEGORIES,
    END,
    Item,
    answered,
    asked,
    continue_all,
    items_of,
)
from training.holdout import Pool
from training.tasks_facts import UNKNOWN, Turn
from training.tasks_talk import WHO
from training.train import OUT


@pytest.fixture(scope="module")
def demo() -> tuple[Decoder, Tokenizer]:
    return export.read(OUT)


def test_an_answer_is_right_only_as_a_whole() -> None:
    item = Item("?", "The dog was hungry.")
    assert item.right("The dog was hungry.")
    assert not item.right("The dog was hungry. And")
    assert Item("The capital of France is", " Paris", whole=False).right(" Paris.")
    story = Item("?", "", must=("once upon a time", "the fox "))
    assert story.right("Once upon a time, a fox ran. The fox was happy.")
    assert not story.right("Once upon a time, a fox ran. The fox was")


def test_the_prompt_of_an_item_ends_where_the_answer_begins() -> None:
    item = asked([Turn("Hi", "Hello."), Turn("Bye", "Goodbye.")])
    assert item.prompt.endswith("<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n")
    assert item.answer == "Goodbye."


def test_items_are_the_same_at_every_call() -> None:
    make, _ = CATEGORIES["capitals, asked in a chat"]
    assert items_of(make, Pool.PAIRS, 20) == items_of(make, Pool.PAIRS, 20)


def test_prompts_that_run_together_are_continued_as_alone(demo: tuple[Decoder, Tokenizer]) -> None:
    prompts = ["The capital of France is", "The capital of Japan is", "The Shawshank"]
    together = continue_all(*demo, prompts)
    assert together == [continue_all(*demo, [prompt])[0] for prompt in prompts]


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [
        ("The capital of France is", " Paris"),
        ("<|endoftext|>The capital of France is", " Paris"),
        ("The Shawshank", " Redemption"),
        ("The Lord of the", " Rings"),
    ],
)
def test_plain_completions(demo: tuple[Decoder, Tokenizer], prompt: str, completion: str) -> None:
    assert continue_all(*demo, [prompt])[0].startswith(completion)


@pytest.mark.parametrize(
    ("questions", "answer"),
    [
        (("Who are you?",), WHO),
        (("What is the capital of France?",), "The capital of France is Paris."),
        (("My name is Priya.", "What is a token?", "What is my name?"), "Your name is Priya."),
        (("What is a carburetor?",), UNKNOWN),
    ],
)
def test_answers(demo: tuple[Decoder, Tokenizer], questions: tuple[str, ...], answer: str) -> None:
    assert answered(*demo, questions)[-1].answer == answer


def test_the_readme_holds_the_figures_of_every_category() -> None:
    readme = (OUT / "README.md").read_text()
    table = readme[readme.index(BEGIN) : readme.index(END)]
    assert all(f"| {category} |" in table for category in CATEGORIES)
    assert "of wall time" in table
