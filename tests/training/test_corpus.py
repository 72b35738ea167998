"""What the corpus promises: determinism, the held-out rule, the layout of conversations."""

import hashlib
import random
import re

import pytest

from training.corpus import (
    ENDOFTEXT,
    HARDEST_LAST,
    PHASES,
    VARIED_BLOCK,
    Document,
    as_document,
    documents,
    draw,
)
from training.evaluate import CATEGORIES, items_of
from training.facts_people import NAMES, NEW_HEROES, NEW_NAMES, made_up_word
from training.facts_training import CONCEPTS, DIFFERENCES
from training.facts_unknown import NEW_REQUESTS, NEW_THINGS, PEOPLE, SEEN_THINGS
from training.facts_world import CAPITALS, NO_CAPITAL, TITLES
from training.holdout import ALWAYS_TRAINED, Pool, Split, fingerprint, is_held_out
from training.tasks_facts import AFTER, COLOUR, OPPOSITE, SOUND, SUMS, Turn
from training.tasks_raw import TITLE_FRAMES
from training.tasks_reading import NEW_PAIRS
from training.tasks_talk import ASK_NAME, ECHO, TELL_NAME
from training.tasks_writing import EMAIL, NEW_MISHAPS, STORY
from training.train import SEED
from training.wordings import CAPITAL, COUNTRY, DIFFERENCE, RAW_CAPITAL, RAW_COUNTRY, WHAT, WHY

COUNT = 20_000


@pytest.fixture(scope="module")
def sample() -> list[Document]:
    share = COUNT // len(PHASES)
    return [doc for start, _ in PHASES for doc in documents(SEED, start + 1, share)]


@pytest.fixture(scope="module")
def prompts(sample: list[Document]) -> set[str]:
    return {prompt for doc in sample for prompt in doc.prompts}


@pytest.fixture(scope="module")
def varied_prompts() -> str:
    """The fingerprints of the second stage's prompts, one a line."""
    docs = documents(SEED, VARIED_BLOCK, 3000)
    return "\n".join(fingerprint(prompt) for doc in docs for prompt in doc.prompts)


def test_the_same_seed_makes_the_same_documents() -> None:
    assert list(documents(3, 5, 200)) == list(documents(3, 5, 200))


def test_another_seed_or_block_makes_other_documents() -> None:
    first = list(documents(3, 5, 50))
    assert first != list(documents(4, 5, 50))
    assert first != list(documents(3, 6, 50))


# The bundled weights come from exactly this stream; a change here means another training.
@pytest.mark.parametrize(
    ("block", "mark"),
    [
        (0, "97b13f370713da50"),
        (12, "9cd5b74068df66fb"),
        (20, "ba5dd257c7fce70d"),
        (VARIED_BLOCK, "a4fd5049ffae136e"),
    ],
)
def test_the_stream_is_the_one_of_the_bundled_weights(block: int, mark: str) -> None:
    texts = "\n".join(f"{doc.parts} {doc.prompts}" for doc in documents(SEED, block, 200))
    assert hashlib.sha256(texts.encode()).hexdigest()[:16] == mark


def test_every_prompt_of_a_document_is_listed(sample: list[Document]) -> None:
    for doc in sample[:2000]:
        assert doc.prompts
        assert all(prompt in doc.text for prompt in doc.prompts)


def test_no_held_out_prompt_is_trained_on(prompts: set[str]) -> None:
    assert not [prompt for prompt in prompts if is_held_out(prompt)]


def test_case_and_punctuation_do_not_smuggle_a_prompt_in() -> None:
    assert fingerprint("What is a Token?") == fingerprint("what's a token")
    assert fingerprint("The capital of France is") in ALWAYS_TRAINED


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_examined_prompt_is_trained_on(category: str, prompts: set[str]) -> None:
    trained = {fingerprint(prompt) for prompt in prompts}
    make, pools = CATEGORIES[category]
    for pool in pools:
        items = items_of(make, pool, 100)
        assert len(items) >= 40
        for item in items:
            # In a conversation about a name, the held-out part is the telling of the name.
            users = [part.split("<|im_end|>")[0] for part in item.prompt.split("user\n")[1:]]
            asked = users[0] if "a name told" in category else (users or [item.prompt])[-1]
            assert fingerprint(asked) not in trained, asked


TABLES = (
    *(WHAT, WHY, DIFFERENCE, CAPITAL, COUNTRY, RAW_CAPITAL, RAW_COUNTRY, TITLE_FRAMES),
    *(TELL_NAME, ASK_NAME, ECHO, EMAIL, STORY, SUMS, OPPOSITE, AFTER, COLOUR, SOUND),
)


@pytest.mark.parametrize("table", TABLES)
def test_unseen_wordings_are_not_among_the_seen(table: Split) -> None:
    seen = {fingerprint(wording) for wording in table.seen}
    new = {fingerprint(wording) for wording in table.new}
    assert new and not seen & new


SLOT = r"(?:\S+ ?){1,6}?"


@pytest.mark.parametrize("table", TABLES)
def test_no_prompt_of_the_second_stage_contains_an_unseen_wording(
    table: Split, varied_prompts: str
) -> None:
    for wording in table.new:
        words = fingerprint(re.sub(r"\{\w+\}", "SLOT", wording))
        pattern = re.compile(rf"\b{words.replace('slot', SLOT)}\b")
        assert pattern.search(fingerprint(wording.replace("{", "").replace("}", "")))
        assert not pattern.search(varied_prompts), wording


def test_names_subjects_and_heroes_that_are_new_stay_out(sample: list[Document]) -> None:
    words = {word for doc in sample for word in doc.text.replace("'s", "").split()}
    bare = {word.strip(".,:!?\"'<|") for word in words}
    assert not bare & set(NEW_NAMES)
    text = "\n".join(prompt for doc in sample for prompt in doc.prompts).lower()
    for thing in (*NEW_THINGS, *NEW_MISHAPS):
        assert f" {thing.lower()}?" not in text and f" {thing.lower()}." not in text
    for request in NEW_REQUESTS:
        longest = max(re.split(r"\{\w+\}", request), key=len)
        assert longest.strip(" .?").lower() not in text
    for hero in NEW_HEROES:
        assert f"story about a {hero}" not in text
    for a, b in NEW_PAIRS:
        assert f"chased the {b} because" not in text or f"the {a} chased the {b}" not in text


def test_the_facts_are_as_many_as_promised() -> None:
    assert len(CONCEPTS) >= 45
    assert len(DIFFERENCES) >= 10
    assert len(CAPITALS) >= 80
    assert len(TITLES) >= 40
    assert len(NAMES) >= 300
    assert len(SEEN_THINGS) >= 200


def test_facts_do_not_contradict_each_other() -> None:
    assert len(set(CAPITALS.values())) == len(CAPITALS)
    assert not set(NO_CAPITAL) & set(CAPITALS)
    assert not set(NAMES) & set(NEW_NAMES)
    assert len({left for left, _ in TITLES}) == len(TITLES)
    known = {form.lower() for concept in CONCEPTS for form in (*concept.one, *concept.many)}
    assert not known & {thing.lower() for thing in (*SEEN_THINGS, *NEW_THINGS, *PEOPLE)}
    forms = [form for concept in CONCEPTS for form in concept.one]
    assert len(forms) == len(set(forms))


def test_each_pool_is_what_it_says() -> None:
    rng = random.Random(1)
    for task in HARDEST_LAST.tasks:
        for _ in range(20):
            assert not is_held_out(draw(task, rng, Pool.TRAIN).user)
            assert is_held_out(draw(task, rng, Pool.PAIRS).user)


def test_only_answers_are_learned_in_a_conversation() -> None:
    doc = as_document([Turn("Hi", "Hello."), Turn("Bye", "Goodbye.")], "Be brief.")
    learned = [text for text, weight in doc.parts if weight]
    assert learned == ["Hello.<|im_end|>", "Goodbye.<|im_end|>"]
    assert doc.text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
        "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\nGoodbye.<|im_end|>\n"
        f"{ENDOFTEXT}"
    )


def test_made_up_words_can_be_pronounced() -> None:
    rng = random.Random(0)
    assert all(set("aeiou") & set(made_up_word(rng, 1)) for _ in range(100))
