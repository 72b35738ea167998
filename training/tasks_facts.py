"""Knows how to ask for concepts, capitals and small facts, and what the right answers are.

It does not know which examples belong to training; the pool decides that.
"""

import random
from dataclasses import dataclass

from training import facts_unknown as unknown
from training.facts_people import CITIES, made_up_word
from training.facts_training import CONCEPTS, DIFFERENCES
from training.facts_world import CAPITALS, COLOURS_OF, DAYS, MONTHS, NO_CAPITAL, OPPOSITES, SOUNDS
from training.holdout import Pool, Split
from training.wordings import (
    CAPITAL,
    COUNTRY,
    DIFFERENCE,
    WHAT,
    WHY,
    WHY_FOLLOW_UPS,
    ask_about,
    capitalized,
    opened,
    roughened,
)

UNKNOWN = "I am sorry, I do not know that. I am a tiny demo model and know only a few things."

COUNTRIES = tuple(CAPITALS)
NEW_PLACES = NO_CAPITAL[::7]
SEEN_PLACES = tuple(place for place in NO_CAPITAL if place not in NEW_PLACES)


@dataclass(frozen=True)
class Turn:
    """One message of the user and the right answer to it.

    `must` holds texts that an answer has to contain; when it is empty, only `answer` is right.
    """

    user: str
    answer: str
    must: tuple[str, ...] = ()


def concept(rng: random.Random, pool: Pool) -> Turn:
    return concept_turns(rng, pool)[0]


def concept_turns(rng: random.Random, pool: Pool) -> list[Turn]:
    """A question on a concept, and a follow-up that says "it" (callers may drop the latter)."""
    chosen = rng.choice(CONCEPTS)
    plural = bool(chosen.many) and rng.random() < 0.25
    noun = rng.choice(chosen.many) if plural else rng.choice(chosen.one)
    if rng.random() < 0.25:
        question, answer = ask_about(rng, pool, WHY, noun, plural=plural), chosen.why
    else:
        question, answer = ask_about(rng, pool, WHAT, noun, plural=plural), chosen.what
    first = Turn(roughened(rng, question), answer)
    return [first, Turn(roughened(rng, rng.choice(WHY_FOLLOW_UPS)), chosen.why)]


def difference(rng: random.Random, pool: Pool) -> Turn:
    first, second, answer = rng.choice(DIFFERENCES)
    if rng.random() < 0.5:
        first, second = second, first
    question = opened(rng, capitalized(DIFFERENCE.pick(rng, pool).format(a=first, b=second)))
    return Turn(roughened(rng, question), answer)


def capital(rng: random.Random, pool: Pool) -> Turn:
    country = rng.choice(COUNTRIES)
    city = CAPITALS[country]
    if rng.random() < 0.7:
        question = CAPITAL.pick(rng, pool).format(x=country, X=capitalized(country))
        answer = f"The capital of {country} is {city}."
    else:
        question = COUNTRY.pick(rng, pool).format(y=city, Y=city)
        answer = f"{city} is the capital of {country}."
    return Turn(roughened(rng, opened(rng, question)), answer)


SUMS = Split(
    (
        "What is {a} + {b}?",
        "What is {a} plus {b}?",
        "How much is {a} + {b}?",
        "{a} + {b} = ?",
        "{a} + {b}",
        "Calculate {a} + {b}.",
        "Add {a} and {b}.",
        "How much is {a} plus {b}?",
    ),
    ("What do you get when you add {a} and {b}?",),
)
OPPOSITE = Split(
    (
        "What is the opposite of {a}?",
        "Tell me the opposite of {a}.",
        "Name the opposite of {a}.",
        "What is the contrary of {a}?",
    ),
    ("Which word is the opposite of {a}?",),
)
AFTER = Split(
    (
        "Which day comes after {a}?",
        "What day comes after {a}?",
        "What is the day after {a}?",
        "Tell me the day after {a}.",
    ),
    ("Which day follows {a}?",),
)
COLOUR = Split(
    (
        "What colour is {a}?",
        "What color is {a}?",
        "Which colour is {a}?",
        "Tell me what colour {a} is.",
    ),
    ("Which colour does {a} have?",),
)
SOUND = Split(
    ("What sound does a {a} make?", "What does a {a} say?", "Which sound does a {a} make?"),
    ("How does a {a} sound?",),
)


def small_fact(rng: random.Random, pool: Pool) -> Turn:
    """A sum of two digits, an opposite, the next day or month, a colour or a sound."""
    kind = rng.randrange(6)
    if kind <= 1:
        a = rng.randint(0, 9)
        b = rng.randint(0, 9)
        question = SUMS.pick(rng, pool).format(a=a, b=b)
        answer = f"{a} + {b} = {a + b}."
    elif kind == 2:
        pair = rng.choice(OPPOSITES)
        left, right = pair if rng.random() < 0.5 else pair[::-1]
        question = OPPOSITE.pick(rng, pool).format(a=left)
        answer = f"The opposite of {left} is {right}."
    elif kind == 3:
        names = DAYS if rng.random() < 0.6 else MONTHS
        i = rng.randrange(len(names))
        question = AFTER.pick(rng, pool).format(a=names[i])
        if names is MONTHS:
            question = question.replace("day", "month")
        answer = f"{names[(i + 1) % len(names)]} comes after {names[i]}."
    elif kind == 4:
        thing, colour = rng.choice(COLOURS_OF)
        question = COLOUR.pick(rng, pool).format(a=thing)
        answer = f"{capitalized(thing)} is {colour}."
    else:
        animal, sound = rng.choice(SOUNDS)
        question = SOUND.pick(rng, pool).format(a=animal)
        answer = f"A {animal} can {sound}."
    return Turn(roughened(rng, opened(rng, question)), answer)


def unknown_thing(rng: random.Random, pool: Pool) -> Turn:
    """A request that the model must decline: a strange subject, place, person or task."""
    kind = rng.random()
    new = pool is Pool.NEW
    if kind < 0.5:
        if rng.random() < 0.25:
            noun = made_up_word(rng, rng.randint(1, 3))
            noun = noun if rng.random() < 0.3 else ("an " if noun[0] in "aeiou" else "a ") + noun
        else:
            noun = rng.choice(unknown.NEW_THINGS if new else unknown.SEEN_THINGS)
        # The wordings are the ones of known concepts, so that only the noun tells them apart.
        seen = Pool.PAIRS if new else pool
        question = ask_about(rng, seen, WHAT if rng.random() < 0.75 else WHY, noun, plural=False)
    elif kind < 0.55:
        two = rng.sample(unknown.NEW_THINGS if new else unknown.SEEN_THINGS, 2)
        question = opened(rng, capitalized(DIFFERENCE.pick(rng, pool).format(a=two[0], b=two[1])))
    elif kind < 0.65:
        place = rng.choice(NEW_PLACES if new else SEEN_PLACES)
        if not new and rng.random() < 0.4:
            place = made_up_word(rng, rng.randint(1, 3)).capitalize()
        question = opened(rng, CAPITAL.pick(rng, pool).format(x=place, X=place))
    else:
        template = rng.choice(unknown.NEW_REQUESTS if new else unknown.REQUESTS)
        numbers = iter([rng.randint(11, 999), rng.randint(11, 999)])
        while "{number}" in template:
            template = template.replace("{number}", str(next(numbers)), 1)
        question = template.format(
            place=rng.choice(CITIES),
            food=rng.choice(unknown.FOODS),
            company=rng.choice(unknown.COMPANIES),
            person=rng.choice(unknown.PEOPLE),
            thing=rng.choice(unknown.SEEN_THINGS),
            year=rng.randint(1200, 2025),
        )
        question = opened(rng, question)
    return Turn(roughened(rng, question), UNKNOWN)
