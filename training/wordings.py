"""Knows the many ways to ask for a definition, a purpose, a difference or a capital.

It does not know any answer. In a wording, {x} is a noun phrase, {bare} the same without its
article, {be} and {do} are verbs that agree with it.
"""

import random

from training.holdout import Pool, Split

OPENERS = (
    "",
    "",
    "",
    "",
    "",
    "",
    "Hi, ",
    "Hello! ",
    "Hey, ",
    "Quick question: ",
    "Please, ",
    "One question: ",
    "Ok, ",
    "So, ",
)

WHAT = Split(
    (
        "What {be} {x}?",
        "What {be} {x}?",
        "What {be} {x}?",
        "What {be} {x} exactly?",
        "What exactly {be} {x}?",
        "Define {bare}.",
        "Define {x}.",
        "Explain {x}.",
        "Explain {x} to me.",
        "Please explain {x}.",
        "Can you explain {x}?",
        "Could you explain {x}?",
        "Can you explain {x} to me?",
        "Describe {x}.",
        "Please describe {x}.",
        "Tell me about {x}.",
        "Tell me something about {x}.",
        "Can you tell me about {x}?",
        "{Bare}?",
        "What does {bare} mean?",
        "What does the word {bare} mean?",
        "What is meant by {bare}?",
        "How {do} {x} work?",
        "Can you tell me how {x} work{s}?",
        "Tell me how {x} work{s}.",
        "Explain how {x} work{s}.",
        "What {do} {x} do?",
        "Can you tell me what {x} {do}?",
        "Can you tell me what {x} {be}?",
        "Could you tell me what {x} {be}?",
        "Can you explain what {x} {be}?",
        "Please tell me what {x} {be}.",
        "Tell me what {x} {be}.",
        "Do you know what {x} {be}?",
        "I want to know what {x} {be}.",
        "I would like to know what {x} {be}.",
        "I need to know what {x} {be}.",
        "Explain what {x} {be}.",
        "Give me a definition of {x}.",
        "What is the definition of {bare}?",
        "What is the meaning of {bare}?",
        "In simple words, what {be} {x}?",
        "What {be} {x} in simple terms?",
        "Explain {x} in simple words.",
        "Explain {x} in one sentence.",
        "Explain {x} briefly.",
        "How would you explain {x}?",
        "How would you define {x}?",
        "I do not understand {x}.",
        "I don't know what {x} {be}.",
        "I have a question about {x}. What {be} {x}?",
        "I keep hearing about {x}. What is that?",
        "I read about {x}. What does it mean?",
        "Help me understand {x}.",
        "Let us talk about {x}.",
        "Teach me about {x}.",
        "What should I know about {x}?",
        "What do you know about {x}?",
        "Remind me what {x} {be}.",
        "My teacher asked me what {x} {be}.",
    ),
    (
        "Would you mind explaining {x}?",
        "Could you give me a short explanation of {x}?",
        "I am curious about {x}, what {be} {x}?",
        "What do people mean when they say {bare}?",
        "Do you happen to know what {x} {be}?",
        "I am new to this. What {be} {x}?",
        "Write one sentence about {x}.",
        "Could you describe what {x} {do}?",
    ),
)

WHY = Split(
    (
        "Why {be} {x} useful?",
        "Why {be} {x} used?",
        "Why {be} {x} important?",
        "Why {be} {x} needed?",
        "Why do we need {x}?",
        "Why do models need {x}?",
        "Why do models use {x}?",
        "Why would I use {x}?",
        "Why should I care about {x}?",
        "Why {do} {x} matter?",
        "How {do} {x} help?",
        "What {be} {x} good for?",
        "What {be} {x} for?",
        "What {be} {x} used for?",
        "What is the purpose of {x}?",
        "What is the point of {x}?",
        "What is the benefit of {x}?",
        "What is the advantage of {x}?",
        "Explain why {x} {be} useful.",
        "Can you explain why {x} {be} important?",
        "Can you tell me why {x} {be} useful?",
        "Tell me why {x} {be} needed.",
        "Why do people use {x}?",
        "Why does anyone need {x}?",
    ),
    (
        "For what reason do models use {x}?",
        "What makes {x} useful?",
        "What are the benefits of {x}?",
        "Could you tell me why we need {x}?",
    ),
)

WHY_FOLLOW_UPS = (
    "Why is it useful?",
    "Why is that useful?",
    "And why is it useful?",
    "Why do we need it?",
    "Why does it matter?",
    "What is it good for?",
    "Why is that important?",
    "And what is the point of it?",
    "Why?",
    "Why do models use it?",
)

DIFFERENCE = Split(
    (
        "What is the difference between {a} and {b}?",
        "What's the difference between {a} and {b}?",
        "How do {a} and {b} differ?",
        "How does {a} differ from {b}?",
        "Explain the difference between {a} and {b}.",
        "Can you explain the difference between {a} and {b}?",
        "Compare {a} and {b}.",
        "Compare {a} with {b}.",
        "{a} or {b}: what is the difference?",
        "{a} vs {b}?",
        "Tell me the difference between {a} and {b}.",
        "How is {a} different from {b}?",
        "Are {a} and {b} the same?",
        "Is {a} the same as {b}?",
    ),
    (
        "What distinguishes {a} from {b}?",
        "In what way do {a} and {b} differ?",
        "I confuse {a} and {b}. How are they different?",
    ),
)

CAPITAL = Split(
    (
        "What is the capital of {x}?",
        "What is the capital of {x}?",
        "What is the capital city of {x}?",
        "What's the capital of {x}?",
        "Which city is the capital of {x}?",
        "Which is the capital of {x}?",
        "Name the capital of {x}.",
        "Name the capital city of {x}.",
        "Tell me the capital of {x}.",
        "Please tell me the capital of {x}.",
        "Can you tell me the capital of {x}?",
        "Could you tell me what the capital of {x} is?",
        "Can you tell me what the capital of {x} is?",
        "Do you know the capital of {x}?",
        "Do you know what the capital of {x} is?",
        "I want to know the capital of {x}.",
        "I would like to know the capital of {x}.",
        "What city is the capital of {x}?",
        "What is {x}'s capital?",
        "What is {x}'s capital city?",
        "{X}'s capital?",
        "Capital of {x}?",
        "The capital of {x}?",
        "{X}: what is its capital?",
        "What is the name of the capital of {x}?",
        "Give me the capital of {x}.",
        "Say the capital of {x}.",
        "How is the capital of {x} called?",
        "I am learning about {x}. What is its capital?",
        "I am going to {x}. What is the capital?",
        "Which city is {x}'s capital?",
        "Remind me of the capital of {x}.",
    ),
    (
        "Would you tell me which city is the capital of {x}?",
        "I forgot the capital of {x}.",
        "What do they call the capital of {x}?",
        "Do you happen to know {x}'s capital?",
        "In geography class they asked for the capital of {x}. What is it?",
        "Let me know the capital of {x}.",
    ),
)

COUNTRY = Split(
    (
        "Which country has the capital {y}?",
        "{Y} is the capital of which country?",
        "What country is {y} the capital of?",
        "Of which country is {y} the capital?",
        "Which country's capital is {y}?",
        "{Y} is the capital of what country?",
        "Tell me which country has {y} as its capital.",
        "What country has {y} as its capital?",
        "Name the country whose capital is {y}.",
    ),
    ("In which country is {y} the capital?", "Which nation has {y} as its capital?"),
)

RAW_CAPITAL = Split(
    (
        "The capital of {x} is",
        "The capital of {x} is",
        "The capital city of {x} is",
        "{X}'s capital is",
        "{X}'s capital city is",
        "The capital of {x} is called",
        "The capital of {x} is the city of",
        "The name of the capital of {x} is",
        "I live in the capital of {x},",
        "We travelled to the capital of {x},",
        "She was born in the capital of {x},",
        "In {x}, the capital is",
        "If you visit {x}, do not miss its capital,",
        "Everyone knows that the capital of {x} is",
        "Q: What is the capital of {x}?\nA:",
        "Question: What is the capital of {x}?\nAnswer:",
        "Country: {x}\nCapital:",
        "The train took us to {x}'s capital,",
    ),
    (
        "As far as I know, the capital of {x} is",
        "He works in the capital of {x},",
        "My teacher said that the capital of {x} is",
        "We flew to {x}'s capital,",
    ),
)

RAW_COUNTRY = Split(
    (
        "{Y} is the capital of",
        "{Y} is the capital city of",
        "The city of {y} is the capital of",
        "They met in {y}, the capital of",
    ),
    ("He works in {y}, the capital of",),
)


def bare(noun: str) -> str:
    """A noun phrase without its article."""
    first, _, rest = noun.partition(" ")
    return rest if first in ("a", "an", "the") else noun


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def ask_about(rng: random.Random, pool: Pool, table: Split, noun: str, *, plural: bool) -> str:
    """A question about a noun phrase, in one of the wordings of a table."""
    wording = table.pick(rng, pool)
    short = bare(noun)
    question = wording.format(
        x=noun,
        bare=short,
        Bare=capitalized(short),
        be="are" if plural else "is",
        do="do" if plural else "does",
        s="" if plural else "s",
    )
    return opened(rng, question)


def opened(rng: random.Random, question: str) -> str:
    """A question that may begin with a greeting or another small opening."""
    opener = rng.choice(OPENERS)
    if not opener or question.startswith(("I ", "My ")):
        return question
    return after_opener(opener, question)


def after_opener(opener: str, question: str) -> str:
    """A question behind an opener, its first letter small unless the opener ends a sentence."""
    first = question.split(" ", 1)[0]
    ordinary = first.isalpha() and first == first.capitalize() and len(first) > 1
    lower = question[0].lower() + question[1:] if ordinary else question
    return opener + (question if opener.endswith("! ") else lower)


def roughened(rng: random.Random, prompt: str, *, keep_case: bool = False) -> str:
    """The prompt as people type it: sometimes without a final mark or in small letters."""
    roll = rng.random()
    if roll < 0.12:
        prompt = prompt.rstrip("?.!")
    if not keep_case:
        if roll > 0.88:
            prompt = prompt.lower()
        elif roll > 0.82:
            prompt = prompt.replace("What is ", "What's ").replace("what is ", "what's ")
    return prompt
