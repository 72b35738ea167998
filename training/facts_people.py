"""Knows the names, moods and belongings that conversations of the corpus are made of.

It does not know what is done with them (see the tasks).
"""

import random

from training.word_list import words

NAMES: tuple[str, ...] = words(
    """
Anna Maria Priya Sarah Tom Peter Paul John James Robert Michael William David Richard
Joseph Thomas Charles Daniel Matthew Anthony Mark Steven Andrew Kevin Brian George
Edward Ronald Timothy Jason Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen
Larry Justin Scott Brandon Benjamin Samuel Frank Gregory Raymond Alexander Patrick
Jack Dennis Jerry Tyler Aaron Henry Adam Nathan Douglas Zachary Kyle Walter Ethan
Jeremy Harold Keith Christian Roger Noah Gerald Carl Terry Sean Austin Arthur Lawrence
Jesse Dylan Bryan Joe Jordan Billy Bruce Albert Willie Gabriel Logan Alan Juan Wayne
Roy Ralph Randy Eugene Vincent Russell Elijah Louis Bobby Philip Johnny Mary Patricia
Jennifer Linda Elizabeth Barbara Susan Jessica Karen Lisa Nancy Betty Margaret Sandra
Ashley Kimberly Emily Donna Michelle Carol Amanda Dorothy Melissa Deborah Stephanie
Rebecca Sharon Laura Cynthia Kathleen Amy Angela Shirley Brenda Emma Pamela Nicole
Helen Samantha Katherine Christine Debra Rachel Carolyn Janet Catherine Heather Diane
Ruth Julie Olivia Joyce Virginia Victoria Kelly Lauren Christina Joan Evelyn Judith
Megan Andrea Cheryl Hannah Jacqueline Martha Gloria Teresa Ann Sara Madison Frances
Kathryn Janice Jean Abigail Alice Julia Judy Sophia Grace Denise Amber Doris Marilyn
Danielle Beverly Isabella Theresa Diana Natalie Brittany Charlotte Marie Kayla Alexis
Lori Ahmed Fatima Omar Layla Yusuf Aisha Hassan Zainab Ali Khadija Ibrahim Mariam Kofi
Ama Kwame Abena Chidi Ngozi Emeka Amara Tunde Yetunde Sipho Thandiwe Wei Mei Jun Ling
Hao Xia Chen Yuki Haruto Sakura Kenji Aiko Hiroshi Naomi Takeshi Minho Jiwoo Seojun
Hana Arjun Ananya Rahul Kavya Vikram Deepa Rohan Meera Sanjay Lakshmi Nikhil Pooja
Olga Ivan Natasha Dmitri Svetlana Boris Irina Sergei Katya Pavel Zofia Marek Agnieszka
Piotr Lars Ingrid Bjorn Astrid Sven Freya Erik Sigrid Nils Greta Hans Heidi Klaus
Ursula Jurgen Petra Wolfgang Giulia Marco Chiara Luca Francesca Matteo Alessandro
Sofia Pablo Lucia Diego Carmen Javier Elena Miguel Rosa Carlos Ines Rafael Beatriz
Tiago Joana Pierre Camille Antoine Amelie Julien Margaux Etienne Chloe Nikos Eleni
Dimitra Yannis Ayse Mehmet Elif Emre Aylin Shira Noam Avi Tamar Eitan Malia Keanu
Leilani Tane Aroha Siobhan Niamh Cillian Oisin Rhys Carys Dylis Gwen Lena Mila Nora
Ella Leo Max Finn Oskar Felix Clara Ida Otto Emil Frida
"""
)

# Names that never occur in training.
NEW_NAMES: tuple[str, ...] = words(
    """
Wanjiru Bogdan Tomoko Mireille Alejandra Desmond Xiomara Ludwig Parvati Zuleika Nadia
Gustavo Penelope Hamza Bridget Ravi Simone Fergus Miriam Jamal Valentina Oleg Harriet
Takumi Delphine Kwabena Roxana Stellan Imani Casper Dolores Yaroslav Marguerite Efua
Tobias Nadine Rupert Zara Ignacio Solveig
"""
)

ONSETS = words(
    """
b c d f g h j k l m n p r s t v w z br ch cl dr fr gr kh kr pr sh st th tr
"""
)
VOWELS = words(
    """
a e i o u a e i o ai ei ia io ea
"""
)
CODAS = ("", "", "", "", "n", "r", "l", "s", "m", "th", "k", "nd", "x", "sh")


def made_up_word(rng: random.Random, syllables: int) -> str:
    """A pronounceable word that no list contains, so that copying must be learned."""
    parts = [rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(syllables)]
    return "".join(parts) + rng.choice(CODAS)


COLOURS = words(
    """
blue red green yellow purple orange black white pink brown grey silver gold turquoise
violet crimson teal beige maroon indigo
"""
)

PETS = words(
    """
dog cat rabbit hamster parrot horse turtle goldfish pony canary
"""
)

CITIES = words(
    """
London Paris Berlin Madrid Lagos Mumbai Tokyo Boston Chicago Lima Oslo Rome Toronto
Sydney Cairo Seoul Milan Hamburg Porto Zurich Kyoto Dallas Denver Seattle Bristol
Leeds Lyon Accra Nairobi
"""
)

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant that answers briefly.",
    "You are llmcli's demo model.",
    "You are a friendly assistant.",
    "You are a tiny language model.",
    "Be brief.",
    "Answer in one sentence.",
    "Be polite and concise.",
    "You are a helpful, honest assistant.",
    "Answer the user's questions.",
    "You are an expert on language models.",
    "You are a careful teacher.",
    "Please answer as well as you can.",
    "You are an AI assistant. Be truthful.",
    "Talk to the user in simple English.",
    "If you do not know something, say so.",
    "You are a chat assistant running on a laptop.",
    "Keep your answers short.",
)

ANIMALS = words(
    """
dog cat squirrel rabbit mouse fox wolf bear lion tiger horse cow sheep goat pig duck
goose hen rooster frog snake lizard turtle hawk owl crow eagle monkey deer hedgehog
badger otter beaver weasel ferret raccoon leopard hyena zebra camel donkey kitten
puppy
"""
)

HEROES = words(
    """
fox dragon robot wizard knight princess pirate cat dog mouse owl bear rabbit turtle
whale penguin giraffe elephant lion wolf hedgehog squirrel frog bee ant spider snail
sailor baker farmer gardener king queen painter astronaut teacher clown giant fairy
mermaid unicorn ghost monkey donkey horse duck swan parrot goat panda
"""
)

NEW_HEROES = words(
    """
otter tiger blacksmith violinist kangaroo librarian witch beaver
"""
)
