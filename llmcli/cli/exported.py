"""A conversation as a file for people or for programs. It knows the two formats, not the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from llmcli.reports import to_json


@dataclass(frozen=True)
class Exported:
    """`messages` as most programs take them: `role` and `content`."""

    schema: ClassVar[str] = "conversation/1"

    model: str
    messages: Sequence[Mapping[str, str]]


def as_json(model: str, messages: Sequence[Mapping[str, str]]) -> str:
    return to_json(Exported(model, messages)) + "\n"


def as_markdown(model: str, messages: Sequence[Mapping[str, str]]) -> str:
    """A heading for each message, and its text as it stands."""
    parts = [f"# Conversation with {model}"]
    for message in messages:
        parts += [f"## {message['role'].capitalize()}", message["content"].strip("\n")]
    return "\n\n".join(parts) + "\n"
