"""Knows sentences with an "it" and which noun the "it" stands for.

It does not know any other puzzle of language.
"""

import random

from training.facts_people import ANIMALS
from training.holdout import Pool, Split
from training.tasks_facts import Turn
from training.word_list import words
from training.wordings import opened, roughened

# verb | what is said of the first animal | what is said of the second animal
ANIMAL_VERBS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = tuple(
    (verb, tuple(first.split(",")), tuple(second.split(",")))
    for verb, first, second in (
        row.split("|")
        for row in words(
            """
chased|hungry,angry,bored,playful,excited,very hungry,jealous\
|scared,running away,small,tasty,tired,slow,afraid
stopped chasing|tired,exhausted,old,out of breath,bored,lazy\
|gone,too fast,hiding,up a tree,out of sight
ran away from|scared,afraid,weak,timid,frightened|dangerous,scary,growling,aggressive,angry
hid from|scared,afraid,shy,timid,frightened|dangerous,scary,aggressive,angry,loud
could not catch|slow,tired,old,lazy,too slow|fast,quick,too fast,nimble,hiding
caught|fast,quick,clever,hungry|slow,tired,careless,weak
helped|kind,friendly,helpful,nice|hurt,lost,stuck,trapped,injured
followed|curious,lost,lonely,nosy|carrying food,leaving,walking away,the leader
bit|angry,hungry,aggressive,wild|annoying,in its way,teasing
carried|strong,kind,helpful|hurt,injured,asleep,too small to walk
waited for|patient,kind,early|late,slow,still eating
woke up|loud,noisy,impatient|asleep,late,snoring
""",
            "\n",
        )
    )
)

# first noun | verb | second noun | what is said of the first | what is said of the second
THINGS: tuple[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], ...] = tuple(
    (a, verb, b, tuple(first.split(",")), tuple(second.split(",")))
    for a, verb, b, first, second in (
        row.split("|")
        for row in words(
            """
animal|did not cross|street|tired,too tired,scared,lazy|wide,too wide,busy,flooded
trophy|did not fit in|suitcase|big,too big,large,too large|small,too small,full,tiny
ball|broke|window|heavy,hard,fast|fragile,thin,made of glass
book|did not fit in|bag|big,too big,too thick|small,too small,full
truck|could not pass under|bridge|high,too high,tall|low,too low
car|did not fit in|garage|big,too big,too long|small,too small,full,narrow
key|did not open|door|bent,broken,the wrong one|locked,stuck,rusty
boat|did not cross|river|leaking,damaged,broken|wide,too wide,wild
robot|could not lift|box|weak,too weak,broken|heavy,too heavy,nailed to the floor
""",
            "\n",
        )
    )
)

ASK = Split(
    (
        "{s}. Who was {p}?",
        "{s}. Who was {p}?",
        "{s}. What was {p}?",
        'In "{s}", who was {p}?',
        "Read this: {s}. Who was {p}?",
        "Who was {p}? {s}.",
    ),
    ("{s}. Tell me who was {p}.",),
)
ASK_IT = Split(
    (
        '{s}. Who is "it"?',
        "{s}. Who is it?",
        '{s}. What does "it" refer to?',
        '{s}. What does "it" mean here?',
        'In "{s}", who is "it"?',
        "In '{s}', who is 'it'?",
        'In the sentence "{s}", who is "it"?',
        'In the sentence "{s}", what does "it" refer to?',
        'What does "it" refer to in: {s}?',
        'What does "it" refer to in "{s}"?',
        'Who is "it" in this sentence: {s}.',
        'Who does "it" refer to: {s}.',
        '"{s}." Who is "it"?',
    ),
    ('{s}. To whom does "it" refer?', 'Read this sentence: {s}. What is "it"?'),
)

RAW = Split(
    (
        "{s}. Here, it refers to the",
        '{s}. Here, "it" refers to the',
        '{s}. In this sentence, "it" is the',
        '{s}. The word "it" refers to the',
        "{s}. So it was the",
    ),
    ('{s}. Here, "it" means the',),
)

# (first, second) animals that never meet in training, in either order.
NEW_PAIRS = (
    ("dog", "hedgehog"),
    ("cat", "badger"),
    ("wolf", "goat"),
    ("bear", "rooster"),
    ("eagle", "hen"),
    ("monkey", "turtle"),
    ("fox", "duck"),
    ("tiger", "zebra"),
)
_NEW = frozenset(NEW_PAIRS) | frozenset((b, a) for a, b in NEW_PAIRS)


def sentence(rng: random.Random, pool: Pool) -> tuple[str, str, str]:
    """A sentence with "it", what is said of it, and the noun it stands for."""
    if pool is Pool.NEW or rng.random() < 0.8:
        verb, of_first, of_second = rng.choice(ANIMAL_VERBS)
        if pool is not Pool.NEW and rng.random() < 0.3:
            verb, of_first, of_second = ANIMAL_VERBS[0]
        a, b = _two_animals(rng, pool)
    else:
        a, verb, b, of_first, of_second = rng.choice(THINGS)
    first = rng.random() < 0.5
    said = rng.choice(of_first if first else of_second)
    return f"The {a} {verb} the {b} because it was {said}", said, a if first else b


def _two_animals(rng: random.Random, pool: Pool) -> tuple[str, str]:
    if pool is Pool.NEW:
        a, b = rng.choice(NEW_PAIRS)
        return (a, b) if rng.random() < 0.5 else (b, a)
    while True:
        a, b = rng.sample(ANIMALS, 2)
        if (a, b) not in _NEW:
            return a, b


def who_is_it(rng: random.Random, pool: Pool) -> Turn:
    text, said, noun = sentence(rng, pool)
    if rng.random() < 0.5:
        question = ASK.pick(rng, pool).format(s=text, p=said)
        answer = f"The {noun} was {said}."
    else:
        question = ASK_IT.pick(rng, pool).format(s=text)
        answer = f'Here, "it" is the {noun}.'
    return Turn(roughened(rng, opened(rng, question), keep_case=True), answer)
