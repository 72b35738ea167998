"""Knows how single examples become documents, and makes an endless seeded stream of them.

It does not know tokens; a document is a list of texts, each with the weight of its loss.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from training import tasks_raw as raw
from training.facts_people import SYSTEM_PROMPTS
from training.holdout import Pool, belongs
from training.tasks_facts import (
    Turn,
    capital,
    concept,
    concept_turns,
    difference,
    small_fact,
    unknown_thing,
)
from training.tasks_raw import Plain
from training.tasks_reading import who_is_it
from training.tasks_talk import ask_name, echo, small_talk, tell_name, tell_other
from training.tasks_varied import (
    ask_name_varied,
    capital_varied,
    concept_varied,
    difference_varied,
    echo_varied,
    email_varied,
    framed,
    raw_copy_varied,
    raw_title_varied,
    story_varied,
    tell_name_varied,
    unknown_varied,
)
from training.tasks_writing import email, story

ENDOFTEXT = "<|endoftext|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"

Task = Callable[[random.Random, Pool], Turn]
Teller = Callable[[random.Random, Pool], tuple[Turn, str]]
Asker = Callable[[random.Random, Pool, str | None], Turn]


@dataclass(frozen=True)
class Mixture:
    """What share of the documents is what; tasks have relative weights."""

    tasks: dict[Task, float]
    raw_tasks: dict[raw.RawMaker, float]
    raw_share: float
    memory_share: float
    tell: Teller = tell_name
    ask: Asker = ask_name


# Facts come first, then more of the stream goes to copying, then to what is learned last.
FACTS_FIRST = Mixture(
    tasks={
        concept: 25,
        difference: 5,
        capital: 16,
        unknown_thing: 15,
        who_is_it: 12,
        email: 6,
        story: 3,
        small_talk: 8,
        small_fact: 5,
        echo: 2,
    },
    raw_tasks={
        raw.raw_capital: 30,
        raw.raw_title: 14,
        raw.raw_refers: 16,
        raw.raw_small: 10,
        raw.raw_copy: 12,
        raw.raw_name: 5,
        raw.raw_concept: 9,
        raw.raw_story: 4,
    },
    raw_share=0.35,
    memory_share=0.16,
)
COPYING_TOO = Mixture(
    tasks={
        concept: 17,
        difference: 4,
        capital: 15,
        unknown_thing: 10,
        who_is_it: 17,
        email: 9,
        story: 5,
        small_talk: 8,
        small_fact: 8,
        echo: 7,
    },
    raw_tasks={
        raw.raw_capital: 20,
        raw.raw_title: 17,
        raw.raw_refers: 18,
        raw.raw_small: 12,
        raw.raw_copy: 6,
        raw.raw_long_copy: 14,
        raw.raw_name: 4,
        raw.raw_concept: 5,
        raw.raw_story: 4,
    },
    raw_share=0.35,
    memory_share=0.24,
)
HARDEST_LAST = Mixture(
    tasks={
        concept: 17,
        difference: 4,
        capital: 13,
        unknown_thing: 9,
        who_is_it: 26,
        email: 8,
        story: 4,
        small_talk: 9,
        small_fact: 9,
        echo: 4,
    },
    raw_tasks={
        raw.raw_capital: 16,
        raw.raw_title: 24,
        raw.raw_refers: 26,
        raw.raw_small: 14,
        raw.raw_copy: 3,
        raw.raw_long_copy: 6,
        raw.raw_name: 3,
        raw.raw_concept: 4,
        raw.raw_story: 4,
    },
    raw_share=0.35,
    memory_share=0.20,
)
MANY_WAYS = Mixture(
    tasks={
        concept: 6,
        concept_varied: 19,
        difference: 2,
        difference_varied: 8,
        capital: 3,
        capital_varied: 10,
        unknown_thing: 4,
        framed(unknown_thing): 4,
        unknown_varied: 9,
        who_is_it: 4,
        framed(who_is_it, keep_case=True): 3,
        email: 2,
        email_varied: 13,
        story: 2,
        story_varied: 5,
        small_talk: 4,
        framed(small_talk): 4,
        small_fact: 2,
        framed(small_fact): 4,
        echo: 2,
        echo_varied: 8,
    },
    raw_tasks={
        raw.raw_capital: 8,
        raw.raw_title: 10,
        raw_title_varied: 18,
        raw.raw_refers: 10,
        raw.raw_small: 6,
        raw.raw_name: 3,
        raw_copy_varied: 24,
        raw.raw_concept: 3,
        raw.raw_story: 3,
    },
    raw_share=0.25,
    memory_share=0.2,
    tell=tell_name_varied,
    ask=ask_name_varied,
)
# The second stage of the training begins with this block, wherever the first one ended.
VARIED_BLOCK = 1000
# The block from which on a mixture is used; the last line that applies counts.
PHASES = ((-1, FACTS_FIRST), (10, COPYING_TOO), (17, HARDEST_LAST), (VARIED_BLOCK, MANY_WAYS))

LONG_SHARE = 0.02
PROMPT_WEIGHT = 0.1


@dataclass(frozen=True)
class Document:
    """Texts in their order, each with the weight of its loss (0: read, but not learned)."""

    parts: tuple[tuple[str, float], ...]
    prompts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)


def draw(task: Task, rng: random.Random, pool: Pool) -> Turn:
    """A turn whose prompt belongs to the pool."""
    while True:
        turn = task(rng, pool)
        if belongs(turn.user, pool):
            return turn


def draw_raw(task: raw.RawMaker, rng: random.Random, pool: Pool) -> Plain:
    while True:
        plain = task(rng, pool)
        if belongs(plain.prompt, pool):
            return plain


def any_turn(rng: random.Random, mixture: Mixture) -> Turn:
    task = rng.choices(list(mixture.tasks), list(mixture.tasks.values()))[0]
    return draw(task, rng, Pool.TRAIN)


def trainable(make: Callable[[], list[Turn]]) -> list[Turn]:
    """Turns from a maker none of whose prompts is held out."""
    while True:
        turns = make()
        if all(belongs(turn.user, Pool.TRAIN) for turn in turns):
            return turns


def plain_turns(rng: random.Random, mixture: Mixture) -> list[Turn]:
    """A conversation of unrelated questions, sometimes with a follow-up on the last one."""
    turns: list[Turn] = []
    count = 20 if rng.random() < LONG_SHARE else rng.choice((1, 1, 1, 1, 2, 2, 3, 4, 6, 8))
    for _ in range(count):
        if rng.random() < 0.08:
            turns += trainable(lambda: concept_turns(rng, Pool.TRAIN))
            continue
        if rng.random() < 0.03:
            turns += trainable(lambda: [mixture.ask(rng, Pool.TRAIN, None)])
        turns.append(any_turn(rng, mixture))
    return turns


def memory_turns(rng: random.Random, mixture: Mixture) -> list[Turn]:
    """A conversation in which something is told, and asked for some turns later."""
    turns: list[Turn] = [any_turn(rng, mixture)] if rng.random() < 0.25 else []
    told, asked = trainable(lambda: list(name_turns(rng, mixture)))
    turns.append(told)
    questions = [asked]
    if rng.random() < 0.35:
        other, asked_too = trainable(lambda: list(tell_other(rng, Pool.TRAIN)))
        turns.append(other)
        questions.append(asked_too)
    turns += [any_turn(rng, mixture) for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 3, 6)))]
    rng.shuffle(questions)
    return turns + questions


def name_turns(rng: random.Random, mixture: Mixture) -> tuple[Turn, Turn]:
    """The telling of a name, perhaps with a first question, and the later question for it."""
    told, name = mixture.tell(rng, Pool.TRAIN)
    if rng.random() < 0.2 and belongs(told.user, Pool.TRAIN):
        extra = any_turn(rng, mixture)
        told = Turn(f"{told.user.rstrip('.!')}. {extra.user}", f"{told.answer} {extra.answer}")
    return told, mixture.ask(rng, Pool.TRAIN, name)


def as_document(turns: list[Turn], system: str | None = None) -> Document:
    """Turns in the layout of the chat template."""
    parts: list[tuple[str, float]] = []
    if system is not None:
        parts.append((f"{IM_START}system\n{system}{IM_END}\n", 0.0))
    for turn in turns:
        parts.append((f"{IM_START}user\n{turn.user}{IM_END}\n{IM_START}assistant\n", 0.0))
        parts += [(f"{turn.answer}{IM_END}", 1.0), ("\n", 0.0)]
    parts[-1] = (f"\n{ENDOFTEXT}", 0.0)
    return Document(tuple(parts), tuple(turn.user for turn in turns))


def conversation(rng: random.Random, mixture: Mixture) -> Document:
    turns = (
        memory_turns(rng, mixture)
        if rng.random() < mixture.memory_share
        else plain_turns(rng, mixture)
    )
    system = rng.choice(SYSTEM_PROMPTS) if rng.random() < 0.15 else None
    return as_document(turns, system)


def plain_text(rng: random.Random, mixture: Mixture) -> Document:
    task = rng.choices(list(mixture.raw_tasks), list(mixture.raw_tasks.values()))[0]
    plain = draw_raw(task, rng, Pool.TRAIN)
    parts = [(plain.prompt, PROMPT_WEIGHT), (plain.completion + ENDOFTEXT, 1.0)]
    if rng.random() < 0.5:
        parts.insert(0, (ENDOFTEXT, 0.0))
    return Document(tuple(parts), (plain.prompt,))


def document(rng: random.Random, mixture: Mixture) -> Document:
    return (
        plain_text(rng, mixture) if rng.random() < mixture.raw_share else conversation(rng, mixture)
    )


def documents(seed: int, block: int, count: int) -> Iterator[Document]:
    """The `block`-th run of documents; the same for the same seed, whatever came before."""
    rng = random.Random(f"{seed}/{block}")
    mixture = next(mixture for start, mixture in reversed(PHASES) if block >= start)
    for _ in range(count):
        yield document(rng, mixture)
