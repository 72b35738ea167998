"""Knows how a list of short texts is written compactly in a source file.

It does not know any list.
"""


def words(text: str, separator: str | None = None) -> tuple[str, ...]:
    """The parts of a text, cut at spaces or at the given separator; line breaks count as spaces."""
    return tuple(" ".join(part.split()) for part in text.split(separator) if part.strip())
