"""Knows plain texts that are continued without any chat markup: facts, titles, puzzles, stories.

It does not know how conversations are laid out (see corpus.py).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from training.facts_people import COLOURS
from training.facts_training import CONCEPTS
from training.facts_world import (
    CAPITALS,
    COLOURS_OF,
    DAYS,
    MONTHS,
    OPPOSITES,
    SOUNDS,
    TITLES,
)
from training.holdout import Pool, Split
from training.tasks_reading import RAW as REFERS
from training.tasks_reading import sentence
from training.tasks_talk import person, word_chain
from training.tasks_writing import hero, story_text
from training.wordings import RAW_CAPITAL, RAW_COUNTRY, capitalized


@dataclass(frozen=True)
class Plain:
    """A beginning and the one text that rightly follows it."""

    prompt: str
    completion: str


RawMaker = Callable[[random.Random, Pool], Plain]


def raw_capital(rng: random.Random, pool: Pool) -> Plain:
    country = rng.choice(tuple(CAPITALS))
    city = CAPITALS[country]
    if rng.random() < 0.75:
        prompt = RAW_CAPITAL.pick(rng, pool).format(x=country, X=capitalized(country))
        return Plain(prompt, f" {city}.")
    prompt = RAW_COUNTRY.pick(rng, pool).format(y=city, Y=city)
    return Plain(prompt, f" {country}.")


TITLE_FRAMES = Split(
    (
        "{t}",
        "{t}",
        "I watched {t}",
        "Have you read {t}",
        "My favourite is {t}",
        "We talked about {t}",
        "She likes {t}",
        "The title is {t}",
        "A famous title: {t}",
        "He told me about {t}",
        "Last week I bought {t}",
        "Yesterday we saw {t}",
    ),
    ("Everybody knows {t}", "They recommended {t}", "On the shelf I found {t}"),
)


def raw_title(rng: random.Random, pool: Pool) -> Plain:
    left, right = rng.choice(TITLES)
    frame = TITLE_FRAMES.pick(rng, pool)
    return Plain(
        frame.format(t=left), f" {right}" + rng.choice(("", ".", "!") if frame == "{t}" else (".",))
    )


def raw_refers(rng: random.Random, pool: Pool) -> Plain:
    text, _, noun = sentence(rng, pool)
    return Plain(REFERS.pick(rng, pool).format(s=text), f" {noun}.")


def raw_small(rng: random.Random, pool: Pool) -> Plain:
    """Opposites, days, months, colours, sounds, sums and counting."""
    kind = rng.randrange(7)
    if kind == 0:
        pair = rng.choice(OPPOSITES)
        left, right = pair if rng.random() < 0.5 else pair[::-1]
        return Plain(f"The opposite of {left} is", f" {right}.")
    if kind == 1:
        names = DAYS if rng.random() < 0.6 else MONTHS
        i = rng.randrange(len(names))
        unit = "day" if names is DAYS else "month"
        if rng.random() < 0.5:
            return Plain(f"The {unit} after {names[i]} is", f" {names[(i + 1) % len(names)]}.")
        run = [names[(i + k) % len(names)] for k in range(5)]
        return Plain(f"{run[0]}, {run[1]},", f" {run[2]}, {run[3]}, {run[4]}")
    if kind == 2:
        thing, colour = rng.choice(COLOURS_OF)
        return Plain(f"The colour of {thing} is", f" {colour}.")
    if kind == 3:
        animal, sound = rng.choice(SOUNDS)
        return Plain(f"The sound of a {animal} is a", f" {sound}.")
    if kind == 4:
        start = rng.randint(0, 9)
        numbers = [str(start + k) for k in range(rng.randint(5, 10))]
        return Plain(", ".join(numbers[:3]) + ",", " " + ", ".join(numbers[3:]))
    a = rng.randint(0, 9)
    b = rng.randint(0, 9)
    return Plain(f"{a} + {b} =", f" {a + b}.")


def raw_copy(rng: random.Random, pool: Pool) -> Plain:
    """The same words twice, so that copying is learned early."""
    words = word_chain(rng, pool) + " " + rng.choice(COLOURS)
    mark = rng.choice((".", ",", " /", "\n"))
    return Plain(words + mark, f" {words}" + mark)


def raw_long_copy(rng: random.Random, pool: Pool) -> Plain:
    """The same, with more words: nearly all of it can only be copied."""
    words = word_chain(rng, pool, most=24)
    mark = rng.choice((".", ",", " /", "\n"))
    return Plain(words + mark, f" {words}" + mark)


def raw_name(rng: random.Random, pool: Pool) -> Plain:
    name = person(rng, pool)
    begin = rng.choice(("My name is", "I am called", "They call me", "I am"))
    middle = rng.choice(
        (" I live in a small house.", " I like to read.", " I am happy to meet you.", "")
    )
    return Plain(f"{begin} {name}.{middle} My name is", f" {name}.")


def raw_concept(rng: random.Random, pool: Pool) -> Plain:
    chosen = rng.choice(CONCEPTS)
    text = chosen.what if rng.random() < 0.6 else chosen.why
    words = text.split(" ")
    cut = rng.randint(3, 5)
    return Plain(" ".join(words[:cut]), " " + " ".join(words[cut:]))


def raw_story(rng: random.Random, pool: Pool) -> Plain:
    full, name = hero(rng, pool)
    text = story_text(rng, full, name)
    words = text.split(" ")
    cut = rng.randint(4, 10)
    return Plain(" ".join(words[:cut]), " " + " ".join(words[cut:]))
