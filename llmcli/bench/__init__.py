"""Floor 3: measurements as frozen dataclasses. Nothing is printed here."""
