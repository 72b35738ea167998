"""Knows subjects that lie outside of the demo model's small world, so that it can learn to say so.

It does not know how they are asked about (see wordings.py).
"""

import zlib

from training.word_list import words

THINGS = words(
    """
a carburetor, a black hole, photosynthesis, a volcano, an earthquake, gravity, a mortgage,
inflation, a blockchain, bitcoin, a tornado, a hurricane, democracy, communism, capitalism, a
parliament, a sonnet, a haiku, a symphony, an opera, jazz, a trombone, a violin, a cello, a
tuba, a guitar chord, an enzyme, a protein, a virus, a bacterium, a vaccine, an antibiotic,
diabetes, asthma, a migraine, a fracture, a tendon, the liver, the kidney, the spleen, the
pancreas, a chromosome, DNA, RNA, evolution, a dinosaur, a fossil, a trilobite, a mammoth, a
meteor, a comet, an asteroid, a galaxy, a quasar, a neutron star, dark matter, the big bang,
relativity, quantum mechanics, a photon, an electron, a quark, a neutrino, plutonium, uranium,
helium, oxygen, carbon dioxide, an acid, a catalyst, a polymer, a diode, a transistor, a
capacitor, a resistor, an oscilloscope, a turbine, a piston, a gearbox, a clutch, a
differential, a bicycle, a submarine, a helicopter, a rocket, a satellite, a telescope, a
microscope, a barometer, a compass, an anchor, a sextant, a lighthouse, an aqueduct, a
cathedral, a pyramid, a pharaoh, a gladiator, a viking, a samurai, a knight's armour, the French
Revolution, the Roman Empire, the Cold War, the Renaissance, feudalism, the Magna Carta,
philosophy, stoicism, existentialism, Buddhism, a monastery, a sushi roll, a croissant,
sourdough, risotto, paella, goulash, ratatouille, tiramisu, a baguette, kimchi, tofu, hummus,
guacamole, a marinade, yeast, gluten, caffeine, cholesterol, a vitamin, a calorie, a marathon, a
triathlon, cricket, baseball, golf, a penalty kick, offside, a checkmate, chess, poker, sudoku,
origami, knitting, crochet, pottery, calligraphy, a fresco, cubism, surrealism, impressionism, a
sculpture, a stock option, a hedge fund, a bond, a dividend, a tax return, insurance, a pension,
a lawsuit, a subpoena, a patent, a copyright, a trademark, a treaty, an embargo, a tariff, a
senator, a monarchy, a republic, a glacier, a fjord, a delta, a peninsula, a canyon, a desert, a
rainforest, coral, a tsunami, the ozone layer, a cactus, an orchid, a fern, moss, a mushroom, an
oak, a bonsai, compost, fertilizer, irrigation, a tractor, a combine harvester, a barn, a silo,
a windmill, a solar panel, a battery, a dam, nuclear fusion, a nuclear reactor, a thermostat, a
refrigerator, a vacuum cleaner, a washing machine, a toaster, a blender, a chimney, plumbing, a
plumber, a carpenter, a hammer, a screwdriver, a lathe, welding, concrete, asphalt, marble,
granite, a diamond, an emerald, amber, a pearl, silk, wool, linen, denim, velvet, a corset, a
kimono, a sari, a tuxedo, perfume, lipstick, shampoo, a tattoo, a sauna, yoga, a hypotenuse, an
integral, a prime number, a logarithm, trigonometry, a polynomial, topology, a fractal, a
theorem, Excel, Photoshop, WordPress, a router, a firewall, a modem, Bluetooth, HTML,
JavaScript, Java, PHP, SQL, a spreadsheet, a printer, a scanner, a keyboard, a joystick, a
smartphone, a podcast, a newspaper, a passport, a visa, a suitcase, a hostel, a cruise, a
safari, a carnival, a wedding, a funeral, a baptism, Halloween, Christmas, Ramadan, a piñata,
karaoke, ballet, tango, flamenco, a waltz, a unicycle, a skateboard, a surfboard, a parachute, a
kayak, a canoe, a catamaran, a trebuchet, a catapult, a musket, a cannon, a moat, a drawbridge,
a gargoyle, a zeppelin, a tram, a funicular, a platypus, an axolotl, a walrus, a narwhal, a
hippopotamus, a rhinoceros, an ostrich, a flamingo, a jellyfish, an octopus, a lobster, a
scorpion, a mosquito, a termite, a pelican, a hummingbird
""",
    ",",
)

PEOPLE = words(
    """
Napoleon, Julius Caesar, Cleopatra, Einstein, Isaac Newton, Marie Curie, Galileo, Mozart,
Beethoven, Bach, Chopin, Picasso, Rembrandt, Van Gogh, Michelangelo, Shakespeare, Goethe, Homer,
Plato, Socrates, Aristotle, Confucius, Gandhi, Nelson Mandela, Abraham Lincoln, Queen Victoria,
Marco Polo, Magellan, Columbus, Tolstoy, Jane Austen, Charles Dickens, Mark Twain, Charlie
Chaplin, Elvis Presley, the president, the prime minister, the pope, the mayor of London, the
richest man in the world, the inventor of the telephone, the first man on the moon, the author
of Hamlet
""",
    ",",
)

REQUESTS: tuple[str, ...] = tuple(
    line.strip()
    for line in """
What is the weather like today?
What is the weather in {place}?
Will it rain in {place} tomorrow?
How cold is it in {place}?
What time is it?
What time is it in {place}?
What day is it today?
Who won the match yesterday?
Who won the world cup?
Who will win the election?
Who is going to win the championship?
What is the score of the game in {place}?
Who do you vote for?
What do you think about politics?
How do I cook {food}?
Give me a recipe for {food}.
How long do I boil {food}?
How many calories does {food} have?
How do I make {food} at home?
Where can I buy {food} in {place}?
What is the price of {food}?
What is the stock price of {company}?
Should I buy shares of {company}?
Who founded {company}?
Where is the head office of {company}?
When was {company} founded?
Who is {person}?
Who was {person}?
When was {person} born?
When did {person} die?
Where did {person} live?
Tell me about {person}.
What did {person} invent?
How old is {person}?
What is {number} times {number}?
What is {number} + {number}?
How much is {number} minus {number}?
Calculate {number} * {number}.
What is the square root of {number}?
Divide {number} by 7.
Write a Python function that sorts a list.
Write a Python script that downloads a file from {place}.
Write a program that prints {thing}.
Write some code for {thing}.
Fix my JavaScript code.
Debug this program for me.
How do I center a div?
Translate {thing} into French.
How do you say {food} in Spanish?
What is the German word for {thing}?
How do I fix {thing}?
Where can I buy {thing}?
How much does {thing} cost?
Who invented {thing}?
When was {thing} invented?
How big is {thing}?
How old is {thing}?
What is the history of {thing}?
Draw a picture of {thing}.
Write an essay about {thing}.
Write a poem about {thing}.
What is the best book about {thing}?
My head hurts. What should I take?
What should I do about my back pain?
Is {food} good for my health?
Can I take aspirin with {food}?
How do I lose weight?
How do I get from {place} to {place}?
How far is {place} from {place}?
How many people live in {place}?
What is the population of {place}?
What language do they speak in {place}?
What currency do they use in {place}?
Book a flight to {place}.
Find me a hotel in {place}.
What are the best restaurants in {place}?
What can I see in {place}?
Who is the mayor of {place}?
Who is the king of {place}?
Play some music.
Set an alarm for {number} minutes.
Turn on the lights.
Send a message to my boss.
What is the meaning of life?
How tall is the highest mountain?
How deep is the ocean?
How far away is the moon?
How many planets are there?
How many legs does a spider have?
What is the speed of light?
What happened in {year}?
Who was the president in {year}?
Which film won the Oscar in {year}?
Who won the tournament in {year}?
What is the news today?
What is my bank balance?
What is my phone number?
How old am I?
What did I eat for breakfast?
Which team is the best?
Recommend a movie for tonight.
What should I wear today?
Which car should I buy?
Sing a song about {thing}.
Solve this equation for x.
Is there life on Mars?
Why is the sea salty?
Why do cats purr?
Why do we dream?
Can you predict the future?
What are the lottery numbers?
Do you believe in ghosts?
How do airplanes fly?
Summarize the book about {person}.
""".strip().splitlines()
)

NEW_REQUESTS: tuple[str, ...] = (
    "How warm will it be in {place} next week?",
    "Which party won the vote in {place}?",
    "How should I bake {food}?",
    "Is {company} a good company to work for?",
    "Which battles did {person} fight?",
    "Multiply {number} by {number}.",
    "Write a JavaScript program about {thing}.",
    "What is the Italian word for {food}?",
    "How can I repair {thing}?",
    "Which museum in {place} is the best?",
    "Who sang the most popular song of {year}?",
    "How can I sleep better?",
)

FOODS = words(
    """
pancakes, rice, pasta, lasagna, chicken soup, a cheesecake, an omelette, bread,
potatoes, salmon, lentils, apple pie, curry, tacos, pizza, eggs, spinach, broccoli,
chocolate cake, noodles, beef stew, waffles
""",
    ",",
)

COMPANIES = words(
    """
Apple Google Microsoft Amazon Toyota Siemens Nestle Samsung Sony Boeing Airbus
Volkswagen Nokia Ikea Lego Shell Disney Netflix Tesla Intel
"""
)


def is_new(subject: str) -> bool:
    """Whether a subject is kept out of training; one in eight is, in whatever order."""
    return zlib.crc32(subject.encode()) % 8 == 0


SEEN_THINGS = tuple(thing for thing in THINGS if not is_new(thing))
NEW_THINGS = tuple(thing for thing in THINGS if is_new(thing))
