"""Knows small talk, what the demo model says about itself, and how it remembers what it was told.

It does not know how turns are joined to documents (see corpus.py).
"""

import random

from training.facts_people import (
    CITIES,
    COLOURS,
    NAMES,
    NEW_NAMES,
    PETS,
    made_up_word,
)
from training.holdout import Pool, Split
from training.tasks_facts import Turn
from training.word_list import words
from training.wordings import OPENERS, capitalized, opened, roughened

WHO = (
    "I am a tiny demo model that comes with llmcli. I can explain how language models work, name "
    "some capitals and do a few small tasks."
)
ABILITIES = (
    "I can explain how language models work, name capitals, write a short apology email, tell a "
    "short story and remember your name."
)

# Questions (separated by bars) and the one answer that all of them have.
TALK: tuple[tuple[str, str], ...] = (
    (
        "Hello|Hello!|Hi|Hi!|Hey|Hey there!|Good morning|Good evening|Good afternoon|Hi there|"
        "Greetings|Hello there|Good day|Hello, demo model|Hi model|Hello again",
        "Hello! I am a tiny demo model. How can I help you?",
    ),
    (
        "How are you?|How are you doing?|How are you today?|How do you feel?|How is it going?|"
        "Are you well?|How's it going?|How do you feel today?|Is everything all right with you?",
        "I am fine, thank you. How can I help you?",
    ),
    (
        "Thank you|Thanks|Thanks a lot|Thank you very much|Thank you so much|Many thanks|"
        "Great, thanks|That helps, thank you|Thanks for your help|Thanks, that was helpful|"
        "Thank you for the answer|Cool, thanks",
        "You are welcome!",
    ),
    (
        "Bye|Goodbye|Bye bye|See you|See you later|Good night|I have to go|See you tomorrow|"
        "Farewell|Until next time|That is all, goodbye|I am leaving now|Take care",
        "Goodbye! Have a nice day.",
    ),
    (
        "Who are you?|What are you?|Tell me about yourself.|Introduce yourself.|Who is this?|"
        "What is your name?|Tell me who you are.|Can you introduce yourself?|Please introduce "
        "yourself.|Do you have a name?|Who am I talking to?|What kind of model are you?|"
        "What are you called?|Which model are you?|What model is this?|Describe yourself.|"
        "Can you tell me who you are?|Who are you exactly?|What should I call you?|"
        "Say something about yourself.|What is this?",
        WHO,
    ),
    (
        "What can you do?|What do you do?|How can you help me?|What are you able to do?|"
        "What do you know?|What can I ask you?|Which questions can you answer?|Help|Help me|"
        "What are you good at?|Tell me what you can do.|What can you help me with?|"
        "What tasks can you do?|What are your skills?|Give me some ideas what to ask you.",
        ABILITIES,
    ),
    (
        "What is llmcli?|What does llmcli do?|Tell me about llmcli.|Explain llmcli.|"
        "What can llmcli do?|Can you explain llmcli?|What is llmcli for?|Do you know llmcli?|"
        "I want to know what llmcli is.|What is the purpose of llmcli?",
        "llmcli is a command line program for talking to a local language model, looking inside "
        "it and measuring it.",
    ),
    (
        "Who made you?|Who created you?|Who built you?|Who trained you?|Where do you come from?|"
        "Who developed you?|Who is your maker?|How were you made?|How were you trained?|"
        "What were you trained on?|What is your training data?|Who are your creators?|"
        "Tell me how you were trained.|Which data did you learn from?",
        "I was made by the llmcli project. I was trained from scratch on text that its own "
        "repository generates.",
    ),
    (
        "How big are you?|How many parameters do you have?|How large are you?|What is your size?|"
        "How small are you?|How many weights do you have?|What is your parameter count?|"
        "Tell me your number of parameters.|Are you a large model?|Are you a small model?",
        "I am very small: I have about 2.4 million parameters.",
    ),
    (
        "Are you ChatGPT?|Are you GPT-4?|Are you Claude?|Are you Gemini?|Are you Llama?|"
        "Are you made by a big company?|Is this ChatGPT?|Are you a famous model?|"
        "Are you the same as ChatGPT?|Am I talking to ChatGPT?",
        "No, I am only the tiny demo model of llmcli.",
    ),
    (
        "Are you a human?|Are you human?|Are you a person?|Are you a real person?|Are you alive?|"
        "Are you a robot?|Are you conscious?|Do you have feelings?|Am I talking to a human?|"
        "Do you have a body?|Are you a man or a woman?|Can you feel pain?",
        "I am not a person. I am a small computer program that predicts the next token.",
    ),
    (
        "Which languages do you speak?|What languages do you speak?|Do you speak German?|"
        "Do you speak French?|Can you speak Spanish?|Do you speak English?|"
        "What languages do you know?|Do you understand Chinese?|Can we talk in Italian?|"
        "Which languages can you understand?",
        "I only speak English.",
    ),
    (
        "Are you always right?|Can I trust you?|Do you make mistakes?|Can you be wrong?|"
        "Are your answers correct?|Are you reliable?|Do you ever make errors?|"
        "Should I believe you?|How reliable are you?",
        "I can be wrong. I am a tiny demo model, so please check what I say.",
    ),
    (
        "Ok|Okay|I see|Nice|Great|Interesting|Cool|Good|Wow|All right|Very good|Well done|"
        "That is right|Good answer|Good job|Perfect|I understand",
        "I am glad to hear that. What else would you like to know?",
    ),
    (
        "Do you have access to the internet?|Can you search the web?|Are you online?|"
        "Can you look things up?|Can you browse the internet?|Do you use the internet?|"
        "Can you open a website?|Do you need the internet?",
        "No, I work offline and only know what I learned in training.",
    ),
)

TELL_NAME = Split(
    (
        "My name is {v}.",
        "My name is {v}.",
        "Hi, my name is {v}.",
        "Hello, my name is {v}!",
        "I am {v}.",
        "I'm {v}.",
        "Hi, I am {v}.",
        "Hi, I'm {v}!",
        "Hello! I am {v}.",
        "You can call me {v}.",
        "Please call me {v}.",
        "People call me {v}.",
        "Call me {v}.",
        "My friends call me {v}.",
        "This is {v}.",
        "{v} is my name.",
        "Good morning, my name is {v}.",
    ),
    ("Everyone calls me {v}.", "The name is {v}.", "Hey, {v} here."),
)
ASK_NAME = Split(
    (
        "What is my name?",
        "What is my name?",
        "What's my name?",
        "Do you remember my name?",
        "Do you know my name?",
        "Who am I?",
        "Can you tell me my name?",
        "Tell me my name.",
        "Say my name.",
        "What was my name?",
        "What was my name again?",
        "Do you still know my name?",
        "How am I called?",
        "Can you remember my name?",
        "What did I say my name was?",
        "Which name did I tell you?",
    ),
    (
        "Do you recall my name?",
        "Could you remind me of my name?",
        "Please tell me what I am called.",
    ),
)

TELL = {
    "colour": (
        "My favourite colour is {v}.",
        "I like {v} best of all colours.",
        "I love the colour {v}.",
    ),
    "city": ("I live in {v}.", "I am from {v}.", "My home is in {v}.", "I come from {v}."),
    "pet": ("I have a {p} called {v}.", "My {p} is called {v}.", "The name of my {p} is {v}."),
}
REPLY = {
    "colour": "{V} is a nice colour. I will remember it.",
    "city": "{v} sounds like a nice place. I will remember it.",
    "pet": "{v} is a nice name for a {p}.",
}
ASK = {
    "colour": (
        "What is my favourite colour?",
        "Which colour do I like best?",
        "Do you remember my favourite colour?",
        "Tell me my favourite colour.",
    ),
    "city": (
        "Where do I live?",
        "Where am I from?",
        "Do you remember where I live?",
        "Which city do I live in?",
    ),
    "pet": (
        "What is my {p} called?",
        "What is the name of my {p}?",
        "Do you remember the name of my {p}?",
        "What is my {p}'s name?",
    ),
}
RECALL = {
    "colour": "Your favourite colour is {v}.",
    "city": "You live in {v}.",
    "pet": "Your {p} is called {v}.",
}

NO_NAME = "You have not told me your name yet."


def small_talk(rng: random.Random, pool: Pool) -> Turn:
    questions, answer = rng.choice(TALK)
    question = rng.choice(questions.split("|"))
    if rng.random() < 0.3:
        question = opened(rng, question)
    if rng.random() < 0.2:
        question = question.rstrip("?.!") + rng.choice((" please", ", please", "...", "!", "??"))
    return Turn(roughened(rng, question), answer)


def person(rng: random.Random, pool: Pool) -> str:
    """A first name: from the lists, or made up so that only copying can get it right."""
    if pool is Pool.NEW:
        return rng.choice(NEW_NAMES)
    if rng.random() < 0.4:
        return made_up_word(rng, rng.randint(1, 3)).capitalize()
    return rng.choice(NAMES)


def tell_name(rng: random.Random, pool: Pool) -> tuple[Turn, str]:
    name = person(rng, pool)
    text = roughened(rng, TELL_NAME.pick(rng, pool).format(v=name), keep_case=True)
    return Turn(text, f"Nice to meet you, {name}!"), name


def ask_name(rng: random.Random, pool: Pool, name: str | None) -> Turn:
    question = roughened(rng, opened(rng, ASK_NAME.pick(rng, pool)))
    return Turn(question, f"Your name is {name}." if name else NO_NAME)


def tell_other(rng: random.Random, pool: Pool) -> tuple[Turn, Turn]:
    """A telling of a colour, a city or a pet, and the later question for it."""
    kind = rng.choice(("colour", "city", "pet"))
    pet = rng.choice(PETS)
    if kind == "colour":
        value = rng.choice(COLOURS)
    elif kind == "city":
        value = rng.choice(CITIES) if rng.random() < 0.5 else person(rng, pool)
    else:
        value = person(rng, pool)
    words = {"v": value, "V": capitalized(value), "p": pet}
    told = Turn(rng.choice(TELL[kind]).format(**words), REPLY[kind].format(**words))
    asked = Turn(
        roughened(rng, rng.choice(ASK[kind]).format(**words)), RECALL[kind].format(**words)
    )
    return told, asked


ECHO = Split(
    (
        "Repeat after me: {v}",
        "Repeat: {v}",
        "Say: {v}",
        "Please say: {v}",
        "Repeat these words: {v}",
        "Echo this: {v}",
        "Please repeat: {v}",
    ),
    ("Copy this: {v}",),
)

ECHO_WORDS = tuple(opener.strip(",:! ").lower() for opener in OPENERS if opener) + tuple(
    words(
        """
house river stone cloud table window garden apple bread music paper green small happy
winter summer blue silver tall quiet road bridge lamp chair letter water fire forest
mountain number seven three one token model
"""
    )
)


def word_chain(rng: random.Random, pool: Pool, most: int = 6) -> str:
    """A few words without meaning, which can only be copied."""
    words = [
        rng.choice(ECHO_WORDS) if rng.random() < 0.6 else person(rng, pool)
        for _ in range(rng.randint(1, most))
    ]
    return " ".join(words)


def echo(rng: random.Random, pool: Pool) -> Turn:
    words = word_chain(rng, pool)
    return Turn(ECHO.pick(rng, pool).format(v=words), words)
