"""Knows the capitals, titles and small everyday facts that the demo model has learned.

It does not know how they are asked for (see wordings.py and the tasks).
"""

from training.word_list import words

CAPITALS: dict[str, str] = dict(
    pair.split(":")
    for pair in words(
        """
France:Paris Germany:Berlin Italy:Rome Spain:Madrid Portugal:Lisbon Austria:Vienna
Switzerland:Bern Belgium:Brussels Poland:Warsaw Hungary:Budapest Romania:Bucharest
Bulgaria:Sofia Greece:Athens Turkey:Ankara Ukraine:Kyiv Russia:Moscow Finland:Helsinki
Sweden:Stockholm Norway:Oslo Denmark:Copenhagen Iceland:Reykjavik Ireland:Dublin
Croatia:Zagreb Serbia:Belgrade Slovenia:Ljubljana Slovakia:Bratislava Estonia:Tallinn
Latvia:Riga Lithuania:Vilnius Belarus:Minsk Moldova:Chisinau Albania:Tirana
Montenegro:Podgorica Malta:Valletta Cyprus:Nicosia Georgia:Tbilisi Armenia:Yerevan
Azerbaijan:Baku Kazakhstan:Astana Uzbekistan:Tashkent Mongolia:Ulaanbaatar
China:Beijing Japan:Tokyo Thailand:Bangkok Vietnam:Hanoi Laos:Vientiane
Indonesia:Jakarta Pakistan:Islamabad Bangladesh:Dhaka Nepal:Kathmandu Bhutan:Thimphu
Afghanistan:Kabul Iran:Tehran Iraq:Baghdad Syria:Damascus Lebanon:Beirut Jordan:Amman
Oman:Muscat Qatar:Doha Egypt:Cairo Libya:Tripoli Tunisia:Tunis Algeria:Algiers
Morocco:Rabat Senegal:Dakar Ghana:Accra Nigeria:Abuja Cameroon:Yaounde Kenya:Nairobi
Uganda:Kampala Rwanda:Kigali Tanzania:Dodoma Zambia:Lusaka Zimbabwe:Harare
Angola:Luanda Mozambique:Maputo Namibia:Windhoek Madagascar:Antananarivo
Somalia:Mogadishu Sudan:Khartoum Canada:Ottawa Cuba:Havana Jamaica:Kingston
Honduras:Tegucigalpa Nicaragua:Managua Colombia:Bogota Venezuela:Caracas Ecuador:Quito
Peru:Lima Chile:Santiago Uruguay:Montevideo Paraguay:Asuncion Australia:Canberra
Mali:Bamako
"""
    )
)
CAPITALS |= {
    "Ethiopia": "Addis Ababa",
    "Haiti": "Port-au-Prince",
    "Argentina": "Buenos Aires",
    "India": "New Delhi",
    "New Zealand": "Wellington",
    "South Korea": "Seoul",
    "North Korea": "Pyongyang",
    "Saudi Arabia": "Riyadh",
    "Costa Rica": "San Jose",
    "Brazil": "Brasilia",
    "Mexico": "Mexico City",
    "Kuwait": "Kuwait City",
    "the United Kingdom": "London",
    "the United States": "Washington",
    "the Netherlands": "Amsterdam",
    "the Philippines": "Manila",
    "the Czech Republic": "Prague",
}

# Words that begin a title and the one word that completes it.
TITLES: tuple[tuple[str, str], ...] = tuple(
    (left.strip(), right.strip())
    for left, right in (
        line.split("|")
        for line in """
The Shawshank|Redemption
The Lord of the|Rings
Pride and|Prejudice
War and|Peace
Crime and|Punishment
The Great|Gatsby
Romeo and|Juliet
The Silence of the|Lambs
Gone with the|Wind
Back to the|Future
Raiders of the Lost|Ark
Beauty and the|Beast
Alice in|Wonderland
The Wizard of|Oz
Robinson|Crusoe
Moby|Dick
The Jungle|Book
Treasure|Island
Sense and|Sensibility
The Old Man and the|Sea
The Sound of|Music
Harry|Potter
Sherlock|Holmes
The Lion|King
Finding|Nemo
Jurassic|Park
Star|Wars
Toy|Story
Forrest|Gump
Pulp|Fiction
Schindler's|List
The Dark|Knight
Blade|Runner
Don|Quixote
The Count of Monte|Cristo
The Three|Musketeers
Around the World in Eighty|Days
The Hound of the|Baskervilles
The Picture of Dorian|Gray
Wuthering|Heights
The Time|Machine
The Little|Prince
Peter|Pan
Snow|White
Sleeping|Beauty
""".strip().splitlines()
    )
)

OPPOSITES: tuple[tuple[str, str], ...] = tuple(
    (pair.split(":")[0], pair.split(":")[1])
    for pair in words(
        """
hot:cold big:small up:down left:right good:bad day:night black:white fast:slow
open:closed high:low long:short rich:poor hard:soft wet:dry full:empty old:young
early:late light:dark near:far happy:sad strong:weak clean:dirty loud:quiet thick:thin
"""
    )
)

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

COLOURS_OF: tuple[tuple[str, str], ...] = (
    ("the sky", "blue"),
    ("grass", "green"),
    ("snow", "white"),
    ("blood", "red"),
    ("coal", "black"),
    ("a lemon", "yellow"),
    ("milk", "white"),
    ("a banana", "yellow"),
    ("a raven", "black"),
    ("a strawberry", "red"),
)

SOUNDS: tuple[tuple[str, str], ...] = (
    ("dog", "bark"),
    ("cat", "meow"),
    ("cow", "moo"),
    ("duck", "quack"),
    ("lion", "roar"),
    ("wolf", "howl"),
    ("bee", "buzz"),
    ("snake", "hiss"),
    ("frog", "croak"),
    ("horse", "neigh"),
)

# Countries and places whose capital the model must not pretend to know.
NO_CAPITAL = words(
    """
Atlantis Narnia Mordor Wakanda Gondor Lilliput Genovia Utopia Camelot Krypton Westeros
Asgard Avalon Elbonia Ruritania Freedonia Latveria Sokovia Florin Guilder Oz Neverland
Rohan Tatooine Pandora Zamunda Graustark Syldavia Borduria Arendelle Agrabah Bavaria
Texas California Florida Siberia Patagonia Antarctica Europe Africa Asia Mars Jupiter
Scandinavia Transylvania Andalusia Normandy Tuscany Bohemia Lapland Catalonia
"""
)
