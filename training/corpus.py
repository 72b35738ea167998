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
from training.tasks_writing import email, story

ENDOFTEXT = "<|endoftext|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"

Task = Callable[[random.Random, Pool], Turn]


# Shares of the turns of a conversation.
TASKS: dict[Task, float] = {
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
}
RAW_TASKS: dict[raw.RawMaker, float] = {
    raw.raw_capital: 30,
    raw.raw_title: 14,
    raw.raw_refers: 16,
    raw.raw_small: 10,
    raw.raw_copy: 12,
    raw.raw_name: 5,
    raw.raw_concept: 9,
    raw.raw_story: 4,
}

RAW_SHARE = 0.35
MEMORY_SHARE = 0.16
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


def any_turn(rng: random.Random) -> Turn:
    task = rng.choices(list(TASKS), list(TASKS.values()))[0]
    return draw(task, rng, Pool.TRAIN)


def trainable(make: Callable[[], list[Turn]]) -> list[Turn]:
    """Turns from a maker none of whose prompts is held out."""
    while True:
        turns = make()
        if all(belongs(turn.user, Pool.TRAIN) for turn in turns):
            return turns


def plain_turns(rng: random.Random) -> list[Turn]:
    """A conversation of unrelated questions, sometimes with a follow-up on the last one."""
    turns: list[Turn] = []
    count = 20 if rng.random() < LONG_SHARE else rng.choice((1, 1, 1, 1, 2, 2, 3, 4, 6, 8))
    for _ in range(count):
        if rng.random() < 0.08:
            turns += trainable(lambda: concept_turns(rng, Pool.TRAIN))
            continue
        if rng.random() < 0.03:
            turns += trainable(lambda: [ask_name(rng, Pool.TRAIN, None)])
        turns.append(any_turn(rng))
    return turns


def memory_turns(rng: random.Random) -> list[Turn]:
    """A conversation in which something is told, and asked for some turns later."""
    turns: list[Turn] = [any_turn(rng)] if rng.random() < 0.25 else []
    told, asked = trainable(lambda: list(name_turns(rng)))
    turns.append(told)
    questions = [asked]
    if rng.random() < 0.35:
        other, asked_too = trainable(lambda: list(tell_other(rng, Pool.TRAIN)))
        turns.append(other)
        questions.append(asked_too)
    turns += [any_turn(rng) for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 3, 6)))]
    rng.shuffle(questions)
    return turns + questions


def name_turns(rng: random.Random) -> tuple[Turn, Turn]:
    """The telling of a name, perhaps with a first question, and the later question for it."""
    told, name = tell_name(rng, Pool.TRAIN)
    if rng.random() < 0.2 and belongs(told.user, Pool.TRAIN):
        extra = any_turn(rng)
        told = Turn(f"{told.user.rstrip('.!')}. {extra.user}", f"{told.answer} {extra.answer}")
    return told, ask_name(rng, Pool.TRAIN, name)


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


def conversation(rng: random.Random) -> Document:
    turns = memory_turns(rng) if rng.random() < MEMORY_SHARE else plain_turns(rng)
    system = rng.choice(SYSTEM_PROMPTS) if rng.random() < 0.15 else None
    return as_document(turns, system)


def plain_text(rng: random.Random) -> Document:
    task = rng.choices(list(RAW_TASKS), list(RAW_TASKS.values()))[0]
    plain = draw_raw(task, rng, Pool.TRAIN)
    parts = [(plain.prompt, PROMPT_WEIGHT), (plain.completion + ENDOFTEXT, 1.0)]
    if rng.random() < 0.5:
        parts.insert(0, (ENDOFTEXT, 0.0))
    return Document(tuple(parts), (plain.prompt,))


def document(rng: random.Random) -> Document:
    return plain_text(rng) if rng.random() < RAW_SHARE else conversation(rng)


def documents(seed: int, block: int, count: int) -> Iterator[Document]:
    """The `block`-th run of documents; the same for the same seed, whatever came before."""
    rng = random.Random(f"{seed}/{block}")
    for _ in range(count):
        yield document(rng)
