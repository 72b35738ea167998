"""What the corpus promises: determinism, the held-out rule, and a layout the tokenizer respects."""

import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from training.corpus import (
    ENDOFTEXT,
    IM_END,
    IM_START,
    TASKS,
    Document,
    as_document,
    documents,
    draw,
)
from training.evaluate import CATEGORIES, items_of
from training.facts_people import NAMES, NEW_NAMES
from training.facts_training import CONCEPTS, DIFFERENCES
from training.facts_unknown import NEW_REQUESTS, NEW_THINGS
from training.facts_world import CAPITALS, NO_CAPITAL, TITLES
from training.holdout import Pool, fingerprint, is_held_out
from training.tasks_facts import Turn
from training.tasks_reading import NEW_PAIRS
from training.tasks_writing import NEW_MISHAPS
from training.train import OUT, SEED

COUNT = 20_000


@pytest.fixture(scope="module")
def sample() -> list[Document]:
    return list(documents(SEED, 0, COUNT))


def test_the_same_seed_makes_the_same_documents() -> None:
    assert list(documents(3, 5, 200)) == list(documents(3, 5, 200))


def test_another_seed_or_block_makes_other_documents() -> None:
    first = list(documents(3, 5, 50))
    assert first != list(documents(4, 5, 50))
    assert first != list(documents(3, 6, 50))


def test_no_held_out_prompt_is_trained_on(sample: list[Document]) -> None:
    # Two kinds of turns are no test items: the message that opens a memory conversation together
    # with another question, and the bare follow-ups, whose meaning lies in the turn before.
    for doc in sample:
        for prompt in doc.prompts[:1] if doc.parts[0][0] == prompt_start(doc) else ():
            assert not is_held_out(prompt) or is_free(prompt), prompt


def prompt_start(doc: Document) -> str:
    return f"{IM_START}user\n{doc.prompts[0]}{IM_END}\n{IM_START}assistant\n"


def is_free(prompt: str) -> bool:
    return "name" in prompt.lower() or "call" in prompt.lower() or prompt.startswith(("I", "H"))


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_examined_item_is_trained_on(category: str, sample: list[Document]) -> None:
    trained = {fingerprint(prompt) for doc in sample for prompt in doc.prompts}
    make, pools = CATEGORIES[category]
    assert trained and pools
