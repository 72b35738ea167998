"""Knows how apology e-mails and short stories are asked for and written.

It does not know any fact that is true of the world.
"""

import random

from training.facts_people import HEROES, NEW_HEROES, made_up_word
from training.holdout import Pool, Split
from training.tasks_facts import Turn
from training.tasks_talk import person
from training.word_list import words
from training.wordings import opened, roughened

EMAIL = Split(
    (
        "Write a short apology email to {n} about {m}.",
        "Write an apology email to {n} about {m}.",
        "Write an email to {n} apologizing for {m}.",
        "Write an email apologizing to {n} for {m}.",
        "Write a short email apologizing to {n} for {m}.",
        "Please write an apology email to {n} for {m}.",
        "Can you write an apology email to {n} about {m}?",
        "Could you write a short apology email to {n} for {m}?",
        "Write {n} an email to say sorry for {m}.",
        "Write an email to say sorry to {n} for {m}.",
        "Apologize to {n} for {m} in an email.",
        "I need an apology email to {n} about {m}.",
        "I need to apologize to {n} for {m}. Write the email.",
        "Help me write an apology email to {n} for {m}.",
        "Draft an apology email to {n} about {m}.",
        "Compose a short apology to {n} about {m}.",
        "Write a polite email to {n}. I am sorry about {m}.",
        "Email {n} an apology for {m}.",
        "Write a short apology to {n} for {m}.",
    ),
    (
        "Would you write {n} an email in which I apologize for {m}?",
        "Send {n} a short apology email about {m}.",
        "Please help me to say sorry to {n} for {m} by email.",
    ),
)

LOST = words(
    """
report invoice parcel contract letter book key umbrella camera ticket laptop passport
phone jacket recipe guitar notebook suitcase hat scarf bicycle charger map diary
"""
)
BROKEN = words(
    """
vase window cup mirror chair lamp plate fence door printer teapot flowerpot bottle
table clock screen toy bowl statue mug
"""
)
EVENTS = words(
    """
meeting birthday wedding dinner concert party interview appointment lunch presentation
lesson rehearsal picnic call workshop anniversary
"""
)
ADJECTIVES = words(
    """
late tragic unfortunate terrible silly unlucky sad embarrassing wrong strange little
big missing noisy stupid awful recent careless
"""
)
ACTIVITIES = words(
    """
gardening cooking painting parking cleaning shopping camping fishing baking scheduling
printing shipping football piano laundry kitchen garage office barbecue bicycle
"""
)
ACCIDENTS = words(
    """
mishap accident incident mistake mix-up disaster error misunderstanding
"""
)

NEW_MISHAPS = (
    "the broken telescope",
    "losing your violin",
    "forgetting your graduation",
    "the tragic skiing mishap",
    "the sunken canoe",
    "the spilled coffee on your rug",
    "ruining your sandcastle",
    "the forgotten anniversary cake",
    "the burnt lasagna",
    "the awkward elevator incident",
    "missing our rehearsal dinner",
    "the noisy drum practice",
    "scratching your motorbike",
    "the late homework",
    "waking up your baby",
)


def mishap(rng: random.Random, pool: Pool) -> str:
    """Something to be sorry for, as a noun phrase."""
    if pool is Pool.NEW:
        return rng.choice(NEW_MISHAPS)
    kind = rng.randrange(8)
    whose = rng.choice(("your", "the", "our"))
    adjective, thing = rng.choice(ADJECTIVES), rng.choice((*LOST, *BROKEN))
    if rng.random() < 0.2:
        thing = made_up_word(rng, rng.randint(1, 2))
    if kind == 0:
        return f"{rng.choice(('losing', 'forgetting', 'damaging', 'dropping'))} {whose} {thing}"
    if kind == 1:
        return f"{rng.choice(('breaking', 'scratching', 'ruining', 'spilling'))} {whose} {thing}"
    if kind == 2:
        verb = rng.choice(("missing", "forgetting", "being late for", "cancelling", "ruining"))
        return f"{verb} {whose} {rng.choice(EVENTS)}"
    if kind == 3:
        return f"the {rng.choice(('broken', 'lost', 'damaged', 'ruined', 'stolen'))} {thing}"
    if kind == 4:
        return f"the {adjective} {rng.choice(ACTIVITIES)} {rng.choice(ACCIDENTS)}"
    if kind == 5:
        return f"the {rng.choice(ACTIVITIES)} {rng.choice(ACCIDENTS)}"
    if kind == 6:
        late = words(
            """
late report, late reply, late payment, late delivery, delay, noise, late invoice
""",
            ",",
        )
        return f"{rng.choice(('the', 'my', 'our'))} {rng.choice(late)}"
    return f"the {adjective} {rng.choice((thing, rng.choice(EVENTS)))}"


def email_text(name: str, about: str) -> str:
    return (
        f"Subject: Sorry about {about}\n\nDear {name},\n\nI am very sorry about {about}. It was my "
        "mistake, and I will make sure that it does not happen again. Thank you for your "
        "patience.\n\nKind regards"
    )


def email(rng: random.Random, pool: Pool) -> Turn:
    name, about = person(rng, pool), mishap(rng, pool)
    question = opened(rng, EMAIL.pick(rng, pool).format(n=name, m=about))
    return Turn(roughened(rng, question, keep_case=True), email_text(name, about))


STORY = Split(
    (
        "Tell me a story{about}.",
        "Tell me a short story{about}.",
        "Tell me a little story{about}.",
        "Please tell me a story{about}.",
        "Can you tell me a story{about}?",
        "Could you tell me a short story{about}?",
        "Write a story{about}.",
        "Write a short story{about}.",
        "Write me a short story{about}.",
        "I want to hear a story{about}.",
        "I would like a short story{about}.",
        "Make up a story{about}.",
        "Do you know a story{about}?",
        "A story{about}, please.",
        "Give me a short story{about}.",
        "Invent a story{about}.",
    ),
    (
        "Would you tell me a bedtime story{about}?",
        "Let me hear a short story{about}.",
        "I am bored. Tell me a story{about}.",
    ),
)

HERO_ADJECTIVES = words(
    """
brave small clever lonely shy old young lazy curious friendly tiny hungry
"""
)

PLOTS = (
    "Once upon a time, {a} lived at the edge of a forest. One day, the {h} found a small "
    "golden key in the grass. The {h} tried it on every door of the village, until a little "
    "box opened. In the box was a note that said: the treasure is the friends that you met "
    "today. And the {h} smiled.",
    "Once upon a time, there was {a} who wanted to see the sea. The {h} walked for three days"
    " and asked everybody for the way. When the {h} came to the shore at last, the sun was "
    "rising. The {h} sat down, listened to the waves and was happy.",
    "Once upon a time, {a} was afraid of the dark. One night, the {h} heard somebody cry "
    "outside. The {h} took a deep breath, went out and found a lost kitten. From that night "
    "on, the {h} was not afraid any more.",
    "Once upon a time, {a} planted a seed behind the house. Every morning, the {h} gave it "
    "water and told it a joke. After a long summer, a tree stood there, full of sweet apples."
    " The {h} shared them with all the neighbours.",
    "Once upon a time, {a} lost a shiny red hat in the wind. The {h} looked for it on the "
    "hill, in the river and under the bridge. In the end, a bird had built a nest in it. The "
    "{h} laughed and let the bird keep it.",
)


def hero(rng: random.Random, pool: Pool) -> tuple[str, str]:
    """The hero of a story, with an article and an adjective, and without."""
    name = rng.choice(NEW_HEROES if pool is Pool.NEW else HEROES)
    if pool is not Pool.NEW and rng.random() < 0.3:
        name = made_up_word(rng, rng.randint(1, 3))
    full = f"{rng.choice(HERO_ADJECTIVES)} {name}" if rng.random() < 0.5 else name
    return ("an " if full[0] in "aeiou" else "a ") + full, name


def story_text(rng: random.Random, full: str, name: str) -> str:
    return rng.choice(PLOTS).format(a=full, h=name)


def story(rng: random.Random, pool: Pool) -> Turn:
    full, name = hero(rng, pool)
    about = f" about {full}"
    if rng.random() < 0.2:
        full, name, about = "a small fox", "fox", ""
    question = opened(rng, STORY.pick(rng, pool).format(about=about))
    return Turn(
        roughened(rng, question),
        story_text(rng, full, name),
        must=("Once upon a time", f"{full} ", f"the {name} "),
    )
