"""Knows the further ways to ask that only the second stage of the training uses.

It does not know any answer. The slots are those of wordings.py; {ask} stands for the beginning of
an indirect question. Nothing here repeats a wording that is kept out of training.
"""

import random

from training.word_list import words
from training.wordings import bare, capitalized

ASK = words(
    """
Tell me|Please tell me|Can you tell me|Can you say|Could you say|Please say|I wonder|I ask myself|
I would love to know|I'd like to know|I want to find out|I am trying to understand|Explain|
Please explain|Can you explain|Could you explain|Explain to me|Show me|Describe|Please describe|
Say in a few words|I have to know|I need to learn|Nobody could tell me|Someone asked me|
A friend asked me|My boss wants to know|They want to hear|I never understood|I do not get|
I don't really know|I am not sure|I have no idea|Do you know|You surely know|Remind me|
Quickly tell me|Give me a hint|Help me understand|Teach me|Any idea|Can somebody say
""",
    "|",
)

WHAT = words(
    """
{ask} what {x} {be}|{ask} what {x} {be}|{ask} what {x} really {be}|{ask} how {x} work{s}|
{ask} what {x} {do}|{ask} what {bare} means|{ask} what {bare} stands for|
{ask} what one calls {bare}|
{ask} what exactly {x} {be}|What {be} {x}|What {be} {x}|What {be} {x} all about|
So what {be} {x} then|What, in short, {be} {x}|And what {be} {x}|What would you call {x}|
What kind of thing {be} {x}|What sort of thing {be} {x}|How {do} {x} actually work|
How exactly {do} {x} work|What {do} {x} actually do|What does the term {bare} mean|
What does one mean by {bare}|What does it mean to say {bare}|{Bare}: what is that|
{Bare}, what does it mean|{Bare}: a definition, please|{Bare}: meaning|{Bare} in one sentence|
{Bare} explained, please|{Bare}, briefly|Definition of {bare}|Meaning of {bare}|
A definition of {bare}, please|An explanation of {bare}, please|I need a definition of {x}|
I need an explanation of {x}|Your definition of {x}, please|Give me a short definition of {x}|
Give me a summary of {x}|Give me an overview of {x}|Give me the idea behind {x}|
Sum up {x}|Summarize {x}|Introduce me to {x}|Introduce {x}|Clarify {x}|Clarify what {bare} means|
Say something about {x}|Say what {x} {be}|Talk about {x}|Let us discuss {x}|
Tell me more about {x}|Tell me everything about {x}|Tell me all you know about {x}|
Could you talk about {x}|Could you define {x}|Can you define {bare}|Can you describe {x}|
Can you clarify {x}|Can you summarize {x}|Can you help me understand {x}|Do you understand {x}|
Do you know {x}|Have you heard of {x}|I saw {x} in a paper. What is it|
I found the word {bare} in a book. What is it|The manual mentions {x}. What is that|
Someone mentioned {x}. What does it mean|In the text I see {bare}. Explain it|
Everybody talks about {x}. What is it|I have heard of {x}. What is it|I stumbled over {bare}|
I am confused by {x}|I am struggling with {x}|I am reading about {x}|I am learning about {x}|
I have trouble with the word {bare}|I want to understand {x}|I want to learn about {x}|
The word {bare} is not clear to me|How can one describe {x}|How do you define {x}|
How do you explain {x} to a child|What can you say about {x}|What can you tell me about {x}|
What is the idea of {x}|What is the idea behind {x}|What is behind the term {bare}|
What is the best description of {x}|What is a good definition of {x}|What is to be said about {x}|
What do we mean by {bare}|What do you mean by {bare}|What do engineers call {bare}|
What happens in {x}|What is going on with {x}|What about {x}|How about {x}|Next topic: {x}
""",
    "|",
)

WHY = words(
    """
{ask} why {x} {be} {good}|{ask} why {x} {be} {good}|{ask} why {who} {use} {x}|
{ask} why {who} {use} {x}|{ask} what {x} {be} good for|{ask} what {x} {be} used for|
{ask} what the {point} of {x} is|{ask} how {x} help{s}|{ask} why {x} matter{s}|
Why {be} {x} {good}|Why {be} {x} so {good}|Why exactly {be} {x} {good}|Why do {who} {use} {x}|
Why do {who} {use} {x}|Why should {who} {use} {x}|Why would {who} {use} {x}|Why use {x}|
Why {x}|Why bother with {x}|Why {do} {x} help|Why {do} {x} exist|Why {be} there {x} at all|
How {be} {x} {good}|How {do} {x} help {who}|In what way {be} {x} {good}|What {do} {x} bring|
What {be} {x} there for|What {do} {x} help with|What {do} {x} make better|What {be} {x} needed for|
What do {who} gain from {x}|What do {who} need {x} for|What is the {point} of {x}|
What is the {point} of having {x}|What is the {point} of using {x}|What is gained by {x}|
What is so good about {x}|What is the reason for {x}|What would go wrong without {x}|
What speaks for {x}|Is there a reason to use {x}|{Be} {x} {good} and why|The {point} of {x}|
The {point} of {x}, please|{Bare}: why|{Bare}: what is it good for|{Bare}, what is the {point}|
Name the {point} of {x}|Name a reason to use {x}|Give me a reason to use {x}|
Describe the {point} of {x}|Explain the {point} of {x}|I do not see the {point} of {x}|
I know what {x} {be}, but why {be} it {good}|Convince me that {x} {be} {good}|
I doubt that {x} {be} {good}. Why should I care|Justify {x}|Motivate {x}|Defend the use of {x}|
Say why {x} {be} {good}|Say why {who} {use} {x}|What role {do} {x} play
""",
    "|",
)
GOOD = words(
    "useful|important|needed|used|helpful|necessary|valuable|so useful|a good idea|essential", "|"
)
POINT = words("point purpose use benefit advantage value role aim sense importance usefulness")
WHO_USES = words(
    "we|models|people|language models|engineers|developers|researchers|programs|you", "|"
)
USE = words("use|need|want|have|rely on|choose|like|work with", "|")

DIFFERENCE = words(
    """
{ask} how {a} and {b} differ|{ask} how {a} differs from {b}|{ask} what sets {a} and {b} apart|
{ask} what the difference between {a} and {b} is|{ask} whether {a} and {b} are the same|
What is different between {a} and {b}|What differs between {a} and {b}|What separates {a} from {b}|
What is the main difference between {a} and {b}|Where is the difference between {a} and {b}|
Is there a difference between {a} and {b}|Is {a} different from {b}|Are {a} and {b} different|
Are {a} and {b} identical|Do {a} and {b} mean the same|Does {a} mean the same as {b}|
Isn't {a} just {b}|Is {a} another word for {b}|{a} and {b}: how do they differ|
{a} and {b}, what is the difference|{a} versus {b}|{a} compared to {b}|{a} against {b}|{a} or {b}|
{a} / {b}: difference|Difference between {a} and {b}|The difference between {a} and {b}, please|
A comparison of {a} and {b}, please|Give me the difference between {a} and {b}|
Describe the difference between {a} and {b}|Name the difference between {a} and {b}|
Contrast {a} with {b}|Contrast {a} and {b}|Distinguish between {a} and {b}|
Please compare {a} and {b}|Can you compare {a} with {b}|Can you contrast {a} and {b}|
How do I tell {a} from {b}|How can I distinguish {a} and {b}|How are {a} and {b} different|
How is {a} unlike {b}|How does {a} compare to {b}|I mix up {a} and {b}. Which is which|
I always mix up {a} and {b}|I cannot tell {a} from {b}|I thought {a} and {b} were the same|
People talk about {a} and {b}. How do they differ|Why is {a} not the same as {b}|
What about {a} and {b}, are they the same|When we say {a}, is that {b}
""",
    "|",
)

CAPITAL = words(
    """
{ask} what the capital of {x} is|{ask} which city is the capital of {x}|
{ask} what {x}'s capital is|{ask} what the capital city of {x} is called|{ask} the capital of {x}|
{X} has which capital|{X} has what city as its capital|{X}, capital|{X}: capital|{X} - capital city|
Capital city of {x}|{X}'s capital city|The capital city of {x}, please|The capital of {x}, please|
I need the capital of {x}|I am looking for the capital of {x}|I cannot remember the capital of {x}|
I always mix up the capital of {x}|I am curious which city is {x}'s capital|
We are visiting {x}. Which city is the capital|I fly to {x} soon. Which city is its capital|
My friend lives in the capital of {x}. Which city is that|My uncle comes from {x}. Its capital|
A question on {x}: what is the capital|About {x}: which city is the capital|
For {x}, what is the capital|In {x}, which city is the capital|Take {x}. What is its capital|
Which city in {x} is the capital|Which town is the capital of {x}|Which capital does {x} have|
What capital does {x} have|What is the capital in {x}|What would be the capital of {x}|
What city serves as the capital of {x}|What is the name of {x}'s capital|
Where is the government of {x}, in which capital|Name {x}'s capital|State the capital of {x}|
List the capital of {x}|Write the capital of {x}|Find the capital of {x}|
Give me {x}'s capital city|Give me the name of the capital of {x}|Help me with the capital of {x}|
How do you call the capital of {x}|What's {x}'s capital city|Have you heard of the capital of {x}|
Quiz: the capital of {x}|Test question: the capital of {x}|Homework: the capital of {x}|
The teacher asks for the capital of {x}|Say which city is the capital of {x}
""",
    "|",
)

COUNTRY = words(
    """
{ask} which country has {y} as its capital|{ask} which country {y} is the capital of|
{ask} what country's capital is {y}|{Y} is the capital of|{Y}: capital of which country|
{Y} is the capital city of which country|{Y} serves as the capital of which country|
{Y} is the capital of which nation|{Y}, capital of which state|
Which country's capital city is {y}|Which country is governed from {y}|Whose capital is {y}|
The country with the capital {y}, please|Name the country with the capital {y}|
Find the country whose capital is {y}|Give me the country whose capital is {y}|
For which country is {y} the capital|What country does {y} belong to as the capital|
I am in {y}, the capital of which country|{Y} is a capital, but of which country
""",
    "|",
)

EMAIL = words(
    """
{do} {a} {mail} to {n} {on} {m}|{do} {a} {mail} to {n} {on} {m}|{do} {a} {mail} for {n} {on} {m}|
{do} {n} {a} {mail} {on} {m}|{do} {a} {mail} {on} {m} to {n}|To {n}: {a} {mail} {on} {m}|
{n} needs {a} {mail} {on} {m}|I owe {n} {a} {mail} {on} {m}|{n} expects {a} {mail} {on} {m}|
I am sorry for {m}. {do} {a} {mail} to {n}|I feel bad about {m}. {do} {n} {a} {mail}|
It is about {m}. {do} {a} {mail} to {n}|{n} is angry about {m}. {do} {a} {mail}|
{do} {a} {mail}. It goes to {n} and is about {m}|{do} {a} {mail}, addressed to {n}, {on} {m}|
Say sorry to {n} for {m} in an email|Tell {n} in an email that I am sorry about {m}|
Apologize to {n} by email for {m}|Ask {n} to forgive me for {m}, in an email|
I want to apologize to {n} for {m} in an email|I have to apologize to {n} because of {m}|
I must write to {n} and apologize for {m}|How do I apologize to {n} for {m} in an email|
How can I say sorry to {n} for {m}|An email to {n}, apologizing for {m}|
Apology email, to {n}, topic: {m}|Email for {n}: sorry about {m}|Dear {n}, sorry about {m}: write it
""",
    "|",
)
EMAIL_DO = words(
    """
Write|Please write|Write me|Draft|Please draft|Compose|Prepare|Create|Make|Type|Can you write|
Can you draft|Could you write|Could you compose|I need|I want|I would like|Help me write|Formulate
""",
    "|",
)
EMAIL_A = words(
    "a|a short|a brief|a polite|a kind|a quick|a nice|a formal|a friendly|a little", "|"
)
EMAIL_MAIL = words(
    "email of apology|apology|apology email|sorry email|letter of apology|apology mail|"
    "message of apology|apology note|mail to say sorry",
    "|",
)
EMAIL_ON = words("about|about|for|for|because of|over|regarding|on account of|concerning", "|")

STORY = words(
    """
{do} {a} story{about}|{do} {a} story{about}|{do} {a} tale{about}|{A} story{about}|
Do you have {a} story{about}|Do you know {a} tale{about}|Is there {a} story{about}|
I want to read {a} story{about}|I need {a} story{about}|My daughter wants {a} story{about}|
The children want {a} story{about}|We would like {a} story{about}|How about {a} story{about}|
Time for {a} story{about}|It is late. {do} {a} story{about}|Now {a} story{about}
""",
    "|",
)
STORY_DO = words(
    """
Tell|Tell me|Please tell|Tell us|Write|Write me|Please write|Give me|Invent|Think of|Make up|
Create|Read me|Can you tell|Can you write|Can you invent|Could you tell me|Could you make up
""",
    "|",
)
STORY_A = words(
    "a|a short|a little|a nice|a funny|a sweet|a brief|a good|a new|a tiny|another", "|"
)

ECHO = words(
    """
Repeat the following: {v}|Repeat this: {v}|Repeat this text: {v}|Repeat what I say: {v}|
Now repeat: {v}|Can you repeat this? {v}|Say this: {v}|Say it back: {v}|Say these words: {v}|
Now say: {v}|Just say: {v}|Say "{v}"|Repeat "{v}"|Write this: {v}|Write: {v}|Write it again: {v}|
Please write: {v}|Type: {v}|Type this: {v}|Print: {v}|Print this: {v}|Output this: {v}|
Answer with these words: {v}|Answer only: {v}|Give me back these words: {v}|Once more: {v}|
Read this aloud: {v}|Read out: {v}|Parrot this: {v}|Reproduce this: {v}|Mirror this: {v}
""",
    "|",
)

TELL_NAME = words(
    """
I go by {v}.|My first name is {v}.|My name's {v}.|my name is {v}|i am {v}|i'm {v}|it's {v}|
It is me, {v}.|It's me, {v}!|{v} speaking.|{v} is what people call me.|I am known as {v}.|
Friends know me as {v}.|My parents named me {v}.|They named me {v}.|I was named {v}.|
My mother calls me {v}.|At work they call me {v}.|Most people call me {v}.|Just call me {v}.|
Feel free to call me {v}.|Let me introduce myself, I am {v}.|Let me introduce myself: {v}.|
Allow me to introduce myself, my name is {v}.|Nice to meet you, I am {v}.|
Nice to meet you! My name is {v}.|Good evening, I am {v}.|Good day, my name is {v}.|
Hey, I'm {v}.|Hey, my name is {v}.|Hey! It's {v}.|Hi there, I'm {v}!|Hi, it is {v}.|
Hi, {v} is my name.|Hello, I am called {v}.|Hello, this is {v}.|I am called {v}.|
My name is {v}, by the way.|By the way, I am {v}.|By the way, my name is {v}.|
Before we begin: I am {v}.|So you know, my name is {v}.|For your information, I am {v}.|
You are talking to {v}.|You talk with {v}.|Remember my name: {v}.|Please remember that I am {v}.|
Please remember that my name is {v}.|Keep in mind that I am called {v}.|Name: {v}|
I am {v} and I am a student.|I am {v}, nice to meet you.|My name is {v} and I like books.|
My name is {v}, pleased to meet you.|I'm {v} and I have some questions.
""",
    "|",
)
ASK_NAME = words(
    """
What do people call me?|What do they call me?|What name did I give you?|What name do I have?|
Which name do I have?|Which name is mine?|Do you know who I am?|Tell me who I am.|Say who I am.|
Do you know who you are talking to?|With whom are you talking?|Who is talking to you?|
I told you my name. What was it?|I told you my name earlier. What is it?|
What is it that I am called?|
What did I tell you about my name?|What did I call myself?|How did I introduce myself?|
Do you have my name?|Have you kept my name in mind?|Have you forgotten my name?|
Did you forget my name?|Did you remember my name?|Is my name still in your memory?|
Now, what is my name?|And what is my name?|So, who am I?|And who am I?|My name?|My name is?|
My name was?|What's my first name?|Repeat my name.|Write my name.|Give me my name.|Name me.|
Show me that you remember my name.|Let me hear my name.|I want to hear my name.|
Can you say my name?|Can you repeat my name?|Could you say who I am?|Could you tell me my name?|
Can you still tell me my name?|Are you able to tell me my name?|Please say my name.|
Please tell me my name.|Tell me what my name is.|Tell me what my name was.
""",
    "|",
)


def filled(rng: random.Random, wording: str) -> str:
    """A wording whose {ask} is replaced, in a case that fits."""
    if "{ask}" in wording:
        wording = wording.replace("{ask}", rng.choice(ASK))
    return wording


def ask_varied(rng: random.Random, table: tuple[str, ...], noun: str, *, plural: bool) -> str:
    """A question about a noun phrase, from WHAT or WHY, without a final mark."""
    short = bare(noun)
    be = "are" if plural else "is"
    return filled(rng, rng.choice(table)).format(
        x=noun,
        bare=short,
        Bare=capitalized(short),
        be=be,
        Be=capitalized(be),
        do="do" if plural else "does",
        s="" if plural else "s",
        good=rng.choice(GOOD),
        point=rng.choice(POINT),
        who=rng.choice(WHO_USES),
        use=rng.choice(USE),
    )
