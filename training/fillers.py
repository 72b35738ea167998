"""Knows what people write around a question: greetings, remarks, thanks, careless marks.

It does not know any question.
"""

import random

from training.word_list import words
from training.wordings import after_opener, capitalized

# Whole sentences that may stand before a question, or after it.
BEFORE_PARTS = (
    words(
        """
I am|We are|My brother is|I am really|I am a bit|Today I am|She is|I was|I feel
""",
        "|",
    ),
    words(
        """
tired confused busy happy stuck late lost impatient young old ready nervous hungry sick
interested serious excited desperate
"""
    ),
)
BEFORE = words(
    """
I am a student.|I am a beginner.|I am a teacher.|I am a developer.|I have an exam tomorrow.|
I have little time.|I have five minutes.|I have a question.|I have another question.|
I need some help.|I need your help.|Please help me.|Help me out.|Can you help me?|
Can you help me with this?|May I ask you something?|Can I ask a question?|Here is my question.|
Here is a question.|Next question.|Another question.|A short question.|An easy one.|
This is for a talk.|This is for school.|This is important.|It is for my homework.|
I am writing a report.|I am writing a paper.|I am preparing a talk.|I am reading a book.|
I am studying for a test.|I am learning.|I read a blog post.|I watched a video.|
I heard a talk today.|I asked my friend first.|Nobody could help me.|I do not know much.|
I know nothing about this.|This is all strange to me.|I am not an expert.|Think carefully.|
Keep it short.|Be brief.|Be honest.|Answer briefly.|Do not write too much.|No long answer, please.|
One more thing.|Something else.|Let us go on.|Now something different.|Change of topic.|
Good morning.|Good evening!|Hi there!|Hello again.|Hey there.|Hi!|Hello!|Hey!|Thanks for that.|
Great.|Okay.|Alright.|I see.|Interesting!|Cool.|Nice.|Very good.|Hmm.|Well.|Sorry to ask again.|
It is a nice day.|It is raining here.|My coffee is cold.|My cat is asleep.
""",
    "|",
)
BEFORE_WORDS = words(
    """
hi|hello|hey|hey there|hi there|ok|okay|ok so|so|well|now|right|and|and now|also|sorry|excuse me|
pardon me|please|quick question:|short question:|next question:|a question:|question:|my question:|
quick one:|by the way|one more thing:|just wondering:|in short|briefly|in one sentence|
in simple words|in plain English|in a few words|for a beginner|to begin with|first|next|then|
seriously|honestly|dear model|my friend|good morning|good evening|thanks|thank you|alright|hmm|oh
""",
    "|",
)
AFTER = words(
    """
, please|, please|, thanks|, thank you|, in short|, in simple words|, in one sentence|, briefly|
, for a beginner|, in plain English|, in a few words|, in your own words|, exactly|, again|, then|
, by the way|, do you know|, if I may ask|, if you know|, my friend|. Thanks!|. Thank you!|
. Please be brief.|. Keep it short.|. One sentence is enough.|. I have no idea.|. I am not sure.|
. It is for school.|. I need it for a talk.|. Be brief.|. Please help me.|. Please answer.|
. A short answer is fine.|. I want to learn it.|. I'd be glad to know.|. Use simple words.
""",
    "|",
)


def dressed(rng: random.Random, question: str, *, keep_case: bool = False) -> str:
    """A question as people type it: with small talk around it, careless marks, contractions."""
    mark = question[-1] if question[-1] in "?.!" else rng.choice(("?", "?", "?", ".", "", "!"))
    question = question.rstrip("?.!")
    if rng.random() < 0.2:
        tail = rng.choice(AFTER)
        question, mark = question + (mark if tail[0] == "." else "") + tail.lstrip("."), ""
        mark = rng.choice(("", "?", ".")) if tail[0] == "," else ""
    question += mark
    roll = rng.random()
    if roll < 0.2:
        opener = rng.choice(BEFORE_WORDS)
        opener = opener if opener.endswith(":") else opener + rng.choice((",", ",", ",", ""))
        question = after_opener(capitalized(opener) + " ", question)
    elif roll < 0.4:
        question = f"{rng.choice(BEFORE)} {question}"
    elif roll < 0.48:
        question = f"{rng.choice(BEFORE_PARTS[0])} {rng.choice(BEFORE_PARTS[1])}. {question}"
    roll = rng.random()
    if roll < 0.1:
        question = question.rstrip("?.!")
    elif roll < 0.14:
        question += rng.choice(("?", "!", "..", " "))
    if rng.random() < 0.15:
        question = question.replace("hat is ", "hat's ").replace("I am ", "I'm ")
        question = question.replace("do not ", "don't ").replace("I would ", "I'd ")
    if not keep_case:
        roll = rng.random()
        if roll < 0.2:
            question = question.lower()
        elif roll < 0.22:
            question = question.upper()
    return question
