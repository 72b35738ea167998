"""Floor 3: facts about a model as frozen dataclasses. Nothing is printed here."""
