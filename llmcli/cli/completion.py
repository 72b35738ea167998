"""What Tab offers at the prompt of a chat: commands, settings and their values, files, sessions.

It knows where each is typed, and asks the chat for what there is at that moment.
"""

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from llmcli.cli.output import safe
from llmcli.cli.slash import ALIASES, COMMANDS, is_command
from llmcli.cli.turns import Turns

TAKE_FILES = frozenset({"read", "export"})
TAKE_SESSIONS = frozenset({"load", "save"})
# Values that are worth a try; any other may be typed.
USUAL = {
    "temperature": ("0", "0.7", "1"),
    "top_k": ("20", "40", "0"),
    "top_p": ("0.9", "0.95", "1"),
    "min_p": ("0.05", "0.1", "0"),
    "repetition_penalty": ("1.1", "1"),
    "repeat_last_n": ("64", "-1"),
    "max_tokens": ("256", "1024"),
}


class ChatCompleter(Completer):
    """Completes lines that begin with a slash, and no others."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._files = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        line = document.text_before_cursor
        if not is_command(document.text) or "\n" in line:
            return []
        name, space, rest = line[1:].partition(" ")
        if not space:
            return _commands(name)
        if name == "set":
            setting, space, value = rest.lstrip().partition(" ")
            return self._values(setting, value) if space else self._settings(setting)
        if name == "json":
            return self._schemas(rest.lstrip(), event)
        if name in TAKE_FILES:
            return self._files.get_completions(Document(rest.lstrip()), event)
        names = self._turns.keeper.store.names() if name in TAKE_SESSIONS else []
        return [_completion(known, rest, "") for known in names if known.startswith(rest)]

    def _settings(self, typed: str) -> Iterable[Completion]:
        for name, setting in self._turns.settings.table().items():
            if name.startswith(typed.replace("-", "_")):
                meta = safe(f"{setting.value} ({setting.source})").replace("\n", " ")
                yield _completion(f"{name} ", typed, meta)

    def _values(self, name: str, typed: str) -> Iterable[Completion]:
        setting = self._turns.settings.table().get(name.replace("-", "_"))
        if setting is None:
            return
        now = str(setting.value)
        values = {now: "as it is now"} if isinstance(setting.value, (int, float)) else {}
        for value in (*USUAL.get(name, ()), "default"):
            values.setdefault(value, "")
        for value, meta in values.items():
            if value.startswith(typed):
                yield _completion(value, typed, meta)

    def _schemas(self, typed: str, event: CompleteEvent) -> Iterable[Completion]:
        if typed.startswith("@"):
            yield from self._files.get_completions(Document(typed[1:]), event)
        for value, meta in (("@", "a schema from a file"), ("off", "answers are free again")):
            if value.startswith(typed) and value != typed:
                yield _completion(value, typed, meta)


def _commands(typed: str) -> Iterable[Completion]:
    for name, command in COMMANDS.items():
        if name.startswith(typed):
            more = " " if command.takes_text else ""
            yield _completion(name + more, typed, command.help, f"/{command.usage}")
    for alias, name in ALIASES.items():
        if typed and alias.startswith(typed):
            yield _completion(alias, typed, f"the same as /{name}", f"/{alias}")


def _completion(text: str, typed: str, meta: str, display: str | None = None) -> Completion:
    return Completion(text, -len(typed), display=display, display_meta=meta)
