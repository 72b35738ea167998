"""Knows the tasks of the second stage: the same answers, asked for in many more ways.

It does not know the facts. It draws for the training alone: examinations use the other tasks.
"""

import random
from collections.abc import Callable
from dataclasses import replace

from training import facts_unknown as unknown
from training import tasks_talk as talk
from training import wordings_varied as varied
from training.facts_people import ANIMALS, HEROES, NAMES, NEW_HEROES, NEW_NAMES, made_up_word
from training.facts_training import CONCEPTS, DIFFERENCES
from training.facts_world import CAPITALS, TITLES
from training.fillers import dressed
from training.holdout import Pool
from training.tasks_facts import COUNTRIES, SEEN_PLACES, UNKNOWN, Turn
from training.tasks_raw import TITLE_FRAMES, Plain
from training.tasks_writing import (
    ACCIDENTS,
    ACTIVITIES,
    ADJECTIVES,
    BROKEN,
    EVENTS,
    HERO_ADJECTIVES,
    LOST,
    NEW_MISHAPS,
    email_text,
    mishap,
    story_text,
)
from training.word_list import words
from training.wordings import bare, capitalized

Task = Callable[[random.Random, Pool], Turn]

OLD_MISHAP_WORDS = frozenset(
    " ".join((*LOST, *BROKEN, *EVENTS, *ADJECTIVES, *ACTIVITIES, *ACCIDENTS)).split()
)
NEW_MISHAP_WORDS = frozenset(" ".join(NEW_MISHAPS).split()) - OLD_MISHAP_WORDS
# Nouns of all kinds, without those that only the kept-out mishaps and heroes have.
NOUNS = tuple(
    noun
    for noun in (*map(bare, unknown.SEEN_THINGS), *HEROES, *ANIMALS, *LOST, *BROKEN, *EVENTS)
    if not (NEW_MISHAP_WORDS | frozenset(NEW_HEROES)) & frozenset(noun.lower().split())
)
SORRY_FOR = words(
    """
losing forgetting damaging dropping breaking scratching ruining spilling missing cancelling
stealing selling burning flooding hiding opening reading sharing deleting painting eating
washing shrinking staining bending tearing denting misplacing ignoring delaying postponing
mocking kicking touching moving replacing borrowing melting crushing cracking
"""
)
STATES = words(
    """
broken lost damaged ruined stolen forgotten missing delayed cracked torn stained wet dirty
muddy frozen melted crooked leaking smelly ugly cold empty rotten bent dented unpaid unread
unfinished wrong loud messy dusty rusty expired cancelled missed postponed
"""
)
TAILS = words(
    "on your desk|in the kitchen|at your house|last week|on Monday|in your car|at the party", "|"
)
TIMES = ("",) * 6 + words(
    """
Yesterday|Today|Last night|On Sunday|In the end|At home|In the evening|At school|This morning|
On the train|For my birthday|Some time ago|Of course|Years ago|Once|Then|Before dinner
""",
    "|",
)
SUBJECTS = words(
    """
I|we|they|you|he|she|my sister|my brother|our teacher|the children|all my friends|my parents|
her uncle|the boy next door|most people|Anna|Tom|Maria|my neighbour|someone|nobody|the club
""",
    "|",
)
VERBS = words(
    """
saw|watched|read|loved|liked|bought|sold|borrowed|enjoyed|mentioned|discussed|finished|started|
chose|picked|praised|hated|remembered|forgot|talked about|wrote about|dreamed of|asked for|
looked for|heard of|waited for|laughed about|gave me|lent me|showed me|sent us|quoted
""",
    "|",
)


def framed(task: Task, *, keep_case: bool = False) -> Task:
    """The same task, its question with small talk around it."""

    def dressed_task(rng: random.Random, pool: Pool) -> Turn:
        turn = task(rng, pool)
        return replace(turn, user=dressed(rng, turn.user, keep_case=keep_case))

    return dressed_task


def concept_varied(rng: random.Random, pool: Pool) -> Turn:
    chosen = rng.choice(CONCEPTS)
    plural = bool(chosen.many) and rng.random() < 0.25
    noun = rng.choice(chosen.many) if plural else rng.choice(chosen.one)
    table, answer = (varied.WHY, chosen.why) if rng.random() < 0.42 else (varied.WHAT, chosen.what)
    return Turn(dressed(rng, varied.ask_varied(rng, table, noun, plural=plural)), answer)


def difference_varied(rng: random.Random, pool: Pool) -> Turn:
    first, second, answer = rng.choice(DIFFERENCES)
    if rng.random() < 0.5:
        first, second = second, first
    question = varied.filled(rng, rng.choice(varied.DIFFERENCE)).format(a=first, b=second)
    return Turn(dressed(rng, capitalized(question)), answer)


def capital_varied(rng: random.Random, pool: Pool) -> Turn:
    country = rng.choice(COUNTRIES)
    city = CAPITALS[country]
    if rng.random() < 0.6:
        question = varied.filled(rng, rng.choice(varied.CAPITAL))
        question = question.format(x=country, X=capitalized(country))
        answer = f"The capital of {country} is {city}."
    else:
        question = varied.filled(rng, rng.choice(varied.COUNTRY)).format(y=city, Y=city)
        answer = f"{city} is the capital of {country}."
    return Turn(dressed(rng, question), answer)


def unknown_varied(rng: random.Random, pool: Pool) -> Turn:
    """The wordings of known subjects with subjects that the model must decline."""
    kind = rng.random()
    if kind < 0.75:
        noun = rng.choice(unknown.SEEN_THINGS)
        if rng.random() < 0.2:
            noun = blended(rng).lower()
            noun = noun if rng.random() < 0.3 else ("an " if noun[0] in "aeiou" else "a ") + noun
        table = varied.WHAT if rng.random() < 0.65 else varied.WHY
        question = varied.ask_varied(rng, table, noun, plural=False)
    elif kind < 0.83:
        two = rng.sample(unknown.SEEN_THINGS, 2)
        question = varied.filled(rng, rng.choice(varied.DIFFERENCE)).format(a=two[0], b=two[1])
    else:
        place = rng.choice(SEEN_PLACES) if rng.random() < 0.7 else blended(rng)
        question = varied.filled(rng, rng.choice(varied.CAPITAL)).format(x=place, X=place)
    return Turn(dressed(rng, capitalized(question)), UNKNOWN)


def blended(rng: random.Random) -> str:
    """A name that looks like a real one: the beginning of one and the end of another."""
    while True:
        first, second = rng.sample(NAMES, 2)
        name = first[: rng.randint(1, 5)] + second[-rng.randint(1, 6) :].lower()
        if rng.random() < 0.2:
            name = made_up_word(rng, 1).capitalize() + name.lower()
        if 3 <= len(name) <= 12 and name not in NEW_NAMES:
            return name


def any_name(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.55:
        return blended(rng)
    if roll < 0.75:
        return made_up_word(rng, rng.randint(1, 3)).capitalize()
    return rng.choice(NAMES)


def tell_name_varied(rng: random.Random, pool: Pool) -> tuple[Turn, str]:
    name = any_name(rng)
    wordings = varied.TELL_NAME if rng.random() < 0.7 else talk.TELL_NAME.seen
    told = rng.choice(wordings).format(v=name)
    if rng.random() < 0.12:
        told = told.rstrip(".!")
    return Turn(told, f"Nice to meet you, {name}!"), name


def ask_name_varied(rng: random.Random, pool: Pool, name: str | None) -> Turn:
    question = rng.choice(varied.ASK_NAME if rng.random() < 0.7 else talk.ASK_NAME.seen)
    return Turn(
        dressed(rng, question), f"Your name is {name}." if name is not None else talk.NO_NAME
    )


def any_noun(rng: random.Random) -> str:
    if rng.random() < 0.35:
        return blended(rng).lower() if rng.random() < 0.7 else made_up_word(rng, rng.randint(1, 3))
    return rng.choice(NOUNS)


def mishap_varied(rng: random.Random) -> str:
    """A noun phrase that is rarely the same twice."""
    kind = rng.randrange(7)
    whose = rng.choice(("your", "the", "our", "my", "his", "her", "their"))
    thing = any_noun(rng)
    if rng.random() < 0.25:
        thing = f"{rng.choice((*STATES, *ADJECTIVES))} {thing}"
    if rng.random() < 0.2:
        thing = f"{thing} {rng.choice((*EVENTS, *ACCIDENTS, *LOST))}"
    if kind <= 2:
        phrase = f"{rng.choice(SORRY_FOR)} {whose} {thing}"
    elif kind <= 4:
        phrase = f"{rng.choice(('the', 'the', 'my', 'our'))} {rng.choice(STATES)} {thing}"
    elif kind == 5:
        phrase = f"the {rng.choice(ADJECTIVES)} {any_noun(rng)} {rng.choice(ACCIDENTS)}"
    else:
        phrase = f"the {thing}"
    if rng.random() < 0.2:
        tail = rng.choice((f"on {whose} {any_noun(rng)}", rng.choice(TAILS)))
        phrase = f"{phrase} {tail}"
    return phrase if phrase not in NEW_MISHAPS else mishap(rng, Pool.TRAIN)


def email_varied(rng: random.Random, pool: Pool) -> Turn:
    name, about = any_name(rng), mishap_varied(rng)
    question = rng.choice(varied.EMAIL).format(
        n=name,
        m=about,
        do=rng.choice(varied.EMAIL_DO),
        a=rng.choice(varied.EMAIL_A),
        mail=rng.choice(varied.EMAIL_MAIL),
        on=rng.choice(varied.EMAIL_ON),
    )
    return Turn(dressed(rng, question, keep_case=True), email_text(name, about))


def story_varied(rng: random.Random, pool: Pool) -> Turn:
    name = any_noun(rng).lower()
    full = f"{rng.choice(HERO_ADJECTIVES)} {name}" if rng.random() < 0.5 else name
    full = ("an " if full[0] in "aeiou" else "a ") + full
    about = rng.choice((f" about {full}",) * 4 + (f" with {full}", f" for a child about {full}"))
    a = rng.choice(varied.STORY_A)
    question = rng.choice(varied.STORY).format(
        do=rng.choice(varied.STORY_DO), a=a, A=capitalized(a), about=about
    )
    return Turn(dressed(rng, question), story_text(rng, full, name))


def chain(rng: random.Random, most: int) -> str:
    """Words without meaning, of all kinds, which can only be copied."""
    parts = [
        rng.choice((any_name, any_name, any_noun, mishap_varied))(rng)
        if rng.random() < 0.6
        else rng.choice(talk.ECHO_WORDS)
        for _ in range(rng.randint(1, most))
    ]
    return " ".join(parts)


def echo_varied(rng: random.Random, pool: Pool) -> Turn:
    text = chain(rng, 6)
    question = rng.choice(varied.ECHO if rng.random() < 0.75 else talk.ECHO.seen)
    return Turn(question.format(v=text), text)


def raw_copy_varied(rng: random.Random, pool: Pool) -> Plain:
    text = chain(rng, 14)
    mark = rng.choice((".", ",", " /", "\n", " ="))
    return Plain(text + mark, f" {text}{mark}")


def raw_title_varied(rng: random.Random, pool: Pool) -> Plain:
    left, right = rng.choice(TITLES)
    frame = f"{rng.choice(TIMES)} {rng.choice(SUBJECTS)} {rng.choice(VERBS)} {left}".strip()
    if rng.random() < 0.15:
        frame = f"{rng.choice(TITLE_FRAMES.seen).format(t=left)} {right}, and {frame}"
    return Plain(capitalized(frame), f" {right}.")
