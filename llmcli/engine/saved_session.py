"""A session as text: a conversation in JSON lines, of which any may be damaged.

It knows what the lines say, and nothing of where they lie or of models.

The first line says what the session is, each other one is a message with its facts:

    {"schema": "session/1", "model": "demo", "created": "...", "settings": {...}, "examples": []}
    {"role": "user", "content": "Hello", "time": "2026-01-31T12:00:00+01:00"}
    {"role": "assistant", "content": "Hello!", "time": "...", "tokens": 3, "prompt_tokens": 14}
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmcli.errors import LlmcliError

SCHEMA = "session/1"
FACTS = ("time", "tokens", "prompt_tokens")
_ROLES = ("system", "user", "assistant")
_COUNTS = FACTS[1:]

Message = dict[str, str]


@dataclass(frozen=True)
class KeptMessage:
    """`facts`: when it was said, and of an answer how many tokens it and its prompt have."""

    message: Message
    facts: Mapping[str, str | int]


@dataclass(frozen=True)
class SavedSession:
    """`model` and `created` are None where the first line could not be read. `settings` are the
    sampling settings that were chosen in it, unchecked; `examples` stand before the conversation.
    The last message may be a question without an answer."""

    model: str | None = None
    created: str | None = None
    settings: Mapping[str, Any] | None = None
    examples: tuple[Message, ...] = ()
    messages: tuple[KeptMessage, ...] = ()

    @property
    def questions(self) -> list[str]:
        return [kept.message["content"] for kept in self.messages if kept.message["role"] == "user"]

    @property
    def system(self) -> str | None:
        first = self.messages[0].message if self.messages else {}
        return first["content"] if first.get("role") == "system" else None

    def to_bytes(self) -> bytes:
        head = {
            "schema": SCHEMA,
            "model": self.model,
            "created": self.created,
            "settings": self.settings or {},
            "examples": self.examples,
        }
        lines = [head, *({**kept.message, **kept.facts} for kept in self.messages)]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        return text.encode("utf-8", "replace")


class _Fault(Exception):
    """What is wrong with a line."""


def parse_session(data: bytes) -> tuple[SavedSession, str | None]:
    """What can be read of a session, and what is wrong with the rest: None where nothing is.

    A question is kept with the answer right after it: of a turn with a damaged line neither is,
    but for the last question.
    Raises LlmcliError for a file that a newer llmcli wrote.
    """
    faults: list[str] = []
    entries: list[dict[str, Any] | None] = []
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(_entry(line))
        except _Fault as fault:
            cut = number == len(lines) and not data.endswith(b"\n")
            faults.append(f"line {number} is {'cut' if cut else 'damaged'} ({fault})")
            entries.append(None)
    session = SavedSession()
    try:
        if not entries:
            raise _Fault("the file is empty")
        if entries[0] is not None:
            session = _head(entries[0])
    except _Fault as fault:
        faults.insert(0, f"line 1 is damaged ({fault})" if entries else str(fault))
    messages = _turns(entries[1:], faults)
    return replace(session, messages=tuple(messages)), faults[0] if faults else None


def _entry(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise _Fault("not UTF-8 text") from None
    except RecursionError:
        raise _Fault("nested too deeply") from None
    except ValueError:
        raise _Fault("not valid JSON") from None
    if not isinstance(value, dict):
        raise _Fault("not a JSON object")
    return value


def _refuse(spelling: str) -> None:
    raise ValueError(spelling)


def _head(entry: Mapping[str, Any]) -> SavedSession:
    schema = entry.get("schema")
    if isinstance(schema, str) and schema.startswith("session/") and schema != SCHEMA:
        raise LlmcliError(f"a newer llmcli wrote it ({schema[:40]}, and this one reads {SCHEMA})")
    if schema != SCHEMA:
        raise _Fault(f"it does not say {SCHEMA}")
    model, created = entry.get("model"), entry.get("created")
    settings, examples = entry.get("settings"), entry.get("examples")
    if not isinstance(model, str) or not isinstance(created, str):
        raise _Fault("model and created must be texts")
    if not isinstance(settings, dict) or not isinstance(examples, list):
        raise _Fault("settings must be an object and examples an array")
    shown = [_message(example).message for example in examples]
    if [message["role"] for message in shown] != ["user", "assistant"] * (len(shown) // 2):
        raise _Fault("examples must be questions, each with its answer")
    return SavedSession(_text(model), _text(created), settings, tuple(shown))


def _message(entry: Any) -> KeptMessage:
    if not isinstance(entry, dict):
        raise _Fault("a message must be an object")
    facts = {name: entry[name] for name in FACTS if name in entry}
    message = {name: value for name, value in entry.items() if name not in FACTS}
    if message.get("role") not in _ROLES:
        raise _Fault("its role is none of system, user, assistant")
    if "content" not in message:
        raise _Fault("it has no content")
    for value in message.values():
        _text(value)
    _text(facts.get("time", ""))
    for name in _COUNTS:
        if type(facts.get(name, 0)) is not int:
            raise _Fault(f"its {name} is no whole number")
    return KeptMessage(message, facts)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Fault("a text is expected where there is none")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _Fault("half a surrogate pair in a text") from None
    return value


def _turns(entries: Sequence[dict[str, Any] | None], faults: list[str]) -> list[KeptMessage]:
    """The whole turns among `entries`, the system prompt before them, and a last question."""
    read: list[KeptMessage | None] = []
    for number, entry in enumerate(entries, 2):
        try:
            read.append(None if entry is None else _message(entry))
        except _Fault as fault:
            faults.append(f"line {number} is damaged ({fault})")
            read.append(None)
    while read and read[-1] is None:  # what comes before them may be asked again
        read.pop()
    messages: list[KeptMessage] = []
    place = 0
    while place < len(read):
        kept, following = read[place], read[place + 1] if place + 1 < len(read) else None
        role = None if kept is None else kept.message["role"]
        place += 1
        if kept is None:
            continue
        if role == "user" and following is not None and following.message["role"] == "assistant":
            messages += [kept, following]
            place += 1
        elif (role == "user" and place == len(read)) or (role == "system" and not messages):
            messages.append(kept)
        elif not faults:
            faults.append(f"line {place + 1} is out of order")
    return messages
