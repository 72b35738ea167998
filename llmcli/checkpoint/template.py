"""A folder's chat template: a conversation -> the text, and the ids, that the model was trained on.

It knows nothing of how the text is rendered (`render`, in a process of its own) or of the model.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from llmcli.checkpoint.json_file import (
    MIB,
    json_type,
    read_optional_json_object,
    read_optional_text,
)
from llmcli.checkpoint.render_process import RenderProcess
from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.errors import InvalidModelError, UsageError

Message = Mapping[str, Any]

# Around a control token that somebody typed, while the template works on the text. Unicode keeps
# these two for use within programs: no text has them by right.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_PROBE = "qzjxkv"  # an answer that no template writes by itself
_REASONING = ("reasoning_content", "thinking", "reasoning")
_THINKING_SWITCHES = ("enable_thinking", "thinking")  # Qwen, SmolLM3; Granite


class ConversationRefusedError(InvalidModelError):
    """The template cannot render this conversation, or says that it will not."""


class ChatTemplate:
    """Renders conversations, as `apply_chat_template` of the reference library does.

    `examples` are questions and answers that it puts before every conversation, after its system
    prompt.
    """

    def __init__(self, source: str, origin: str, tokenizer: Tokenizer) -> None:
        """`origin` says in messages where `source` was found. Raises InvalidModelError."""
        self.source, self._origin, self._tokenizer = source, origin, tokenizer
        self.examples: Sequence[Message] = ()
        self._process = RenderProcess(source)
        self.literals = self._reply(self._process.loaded)
        """All text that the template writes by itself, its parts joined by NUL."""
        read = self._process.loaded["variables"].split("\0")
        self.thinking_switch = next((name for name in _THINKING_SWITCHES if name in read), None)
        """The variable by which the template lets the model think or not, if it has one."""
        self.think: bool | None = None
        """What that variable is set to in every rendering; None leaves it to the template."""

    @classmethod
    def load(
        cls, folder: Path, tokenizer: Tokenizer, file: Path | None = None
    ) -> "ChatTemplate | None":
        """The template in `file`, or the folder's own; None when it has none.

        The places, first come: chat_template.jinja, additional_chat_templates/default.jinja,
        tokenizer_config.json, chat_template.json. Raises InvalidModelError, and UsageError for a
        missing `file`.
        """
        if file is not None:
            text = read_optional_text(file, limit_bytes=MIB)
            if text is None:
                raise UsageError(f"{file}: there is no such chat template file")
            return cls(text, str(file), tokenizer)
        for name in ("chat_template.jinja", "additional_chat_templates/default.jinja"):
            text = read_optional_text(folder / name, limit_bytes=MIB)
            if text is not None:
                return cls(text, str(folder / name), tokenizer)
        for name in ("tokenizer_config.json", "chat_template.json"):
            values = read_optional_json_object(folder / name) or {}
            text = _choose(folder / name, values.get("chat_template"))
            if text is not None:
                return cls(text, f"{folder / name} (chat_template)", tokenizer)
        return None

    def render(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True, **kwargs: Any
    ) -> str:
        """The conversation as one text. `kwargs` are further variables of the template.

        Raises InvalidModelError with the template's own message if it fails, is refused, or takes
        too much time or memory.
        """
        return self._render(self._after_examples(messages), add_generation_prompt, kwargs)

    def encode(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True, **kwargs: Any
    ) -> list[int]:
        """The ids of `render`. Control tokens come from the template alone, never from a message.

        What a message spells out (`<|im_end|>`) is marked before rendering; the marks show
        afterwards which spellings the template did not write, and those are encoded as plain text.
        In the assistant's own messages only special tokens are: it may say `<think>` by right.
        """
        special, control = self._control_patterns()
        marked = [
            _mark(message, special if message.get("role") == "assistant" else control)
            for message in self._after_examples(messages)
        ]
        rendered = self._render(marked, add_generation_prompt, _mark(kwargs, control))
        # [text, spelling, text, spelling, ..., text]; the template may have cut a text between the
        # marks, so that a lone mark is left, with None for the spelling.
        first, *rest = re.split(f"{_OPEN}({control.pattern}){_CLOSE}|[{_OPEN}{_CLOSE}]", rendered)
        ids = self._tokenizer.encode_rendered(first)
        for place, part in enumerate(rest):
            if part:
                ids += self._tokenizer.encode_within(part, literal=place % 2 == 0)
        return ids

    def close(self) -> None:
        """End the rendering process; it ends by itself, too, when this object is forgotten."""
        self._process.close()

    def _after_examples(self, messages: Sequence[Message]) -> list[Message]:
        n_system = int(bool(messages) and messages[0].get("role") == "system")
        return [*messages[:n_system], *self.examples, *messages[n_system:]]

    def _render(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        kwargs: Mapping[str, Any],
    ) -> str:
        variables = {
            **self._tokenizer.special_tokens,
            "messages": [_normalised(message) for message in messages],
            "tools": None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            **self._switched(),
            **kwargs,
        }
        return self._reply(self._process.render(variables, datetime.now()))

    def _switched(self) -> dict[str, bool]:
        if self.thinking_switch is None or self.think is None:
            return {}
        return {self.thinking_switch: self.think}

    def _control_patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """What is a control token anywhere: the special tokens; and those with the other added
        tokens that the template writes, such as `<think>`."""
        tokenizer = self._tokenizer
        special = {
            text for text, id in tokenizer.added_tokens.items() if id in tokenizer.special_ids
        }
        written = {
            text for text in tokenizer.added_tokens if text.strip() and text in self.literals
        }
        return _any_of(special), _any_of(special | written)

    def _reply(self, reply: Mapping[str, str]) -> str:
        if "text" in reply:
            return reply["text"]
        kind, message = reply["error"], " ".join(reply["message"].split())[:500]
        if kind == "raised":
            raise ConversationRefusedError(
                f"{self._origin}: the chat template refuses this conversation: {message}",
                hint="the words are the template's; --chat-template-file takes another one",
            )
        if kind == "failed":
            raise ConversationRefusedError(f"{self._origin}: the chat template fails: {message}")
        what = "is no valid template" if kind == "syntax" else "was stopped"
        raise InvalidModelError(f"{self._origin}: the chat template {what}: {message}")


def stop_ids(folder: Path, tokenizer: Tokenizer, template: ChatTemplate | None) -> frozenset[int]:
    """The ids that end an answer: `eos_token_id` of config.json and generation_config.json, the
    tokenizer's EOS, and the token with which the template ends the assistant's turn.

    Raises InvalidModelError for an `eos_token_id` that is not an id or a list of ids.
    """
    found: set[int] = set()
    for name in ("config.json", "generation_config.json"):
        values = read_optional_json_object(folder / name) or {}
        found.update(_eos_ids(folder / name, values.get("eos_token_id")))
    if tokenizer.eos_id is not None:
        found.add(tokenizer.eos_id)
    if template is not None:
        found.update(_end_of_turn(tokenizer, template))
    return frozenset(found)


def _eos_ids(file: Path, value: Any) -> list[int]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    for item in values:
        if not isinstance(item, int) or isinstance(item, bool) or item < 0:
            shown = item if isinstance(item, (int, float, str, bool)) else json_type(item)
            raise InvalidModelError(f"{file}: eos_token_id must be a token id, not {shown!r}")
    return values


def _end_of_turn(tokenizer: Tokenizer, template: ChatTemplate) -> list[int]:
    """The first added token that the template writes after an assistant's words."""
    user, assistant = ({"role": role, "content": _PROBE} for role in ("user", "assistant"))
    try:
        text = template.render([user, assistant], add_generation_prompt=False)
    except ConversationRefusedError:
        return []  # it may want a system message, or content in parts
    _, found, after = text.rpartition(_PROBE)
    added = {id for spelling, id in tokenizer.added_tokens.items() if spelling.strip()}
    return [id for id in tokenizer.encode_rendered(after) if id in added][:1] if found else []


def _choose(file: Path, value: Any) -> str | None:
    """One template, a list of `{"name", "template"}` (its "default" or only one), or none."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InvalidModelError(
            f"{file}: chat_template must be a string or an array, not {json_type(value)}"
        )
    named: dict[str, str] = {}
    for entry in value:
        name, text = (
            (entry.get("name"), entry.get("template")) if isinstance(entry, dict) else ("", 0)
        )
        if not isinstance(name, str) or not isinstance(text, str):
            raise InvalidModelError(
                f"{file}: chat_template: each entry needs a name and a template"
            )
        named[name] = text
    if "default" not in named and len(named) > 1:
        raise InvalidModelError(
            f"{file}: chat_template has {', '.join(sorted(named))}, but no default",
            hint="save the one to use in a file and name it with --chat-template-file",
        )
    return named.get("default", next(iter(named.values()), None))


def _normalised(message: Message) -> dict[str, Any]:
    """As the reference library has it: no empty keys, and reasoning under its two names."""
    plain = {key: value for key, value in message.items() if value is not None}
    reasoning = next((plain[name] for name in _REASONING if name in plain), None)
    if reasoning is None:
        return plain
    return {"thinking": reasoning, **plain, "reasoning_content": reasoning}


def _any_of(spellings: set[str]) -> re.Pattern[str]:
    """Matches any of `spellings`, the longer first; nothing if there are none."""
    longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _mark(value: Any, control: re.Pattern[str]) -> Any:
    """`value` with every control token's spelling in its strings between the two marks."""
    if isinstance(value, str):
        clean = value.replace(_OPEN, "").replace(_CLOSE, "")
        return control.sub(f"{_OPEN}\\g<0>{_CLOSE}", clean)
    if isinstance(value, Mapping):
        return {key: _mark(item, control) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mark(item, control) for item in value]
    return value
