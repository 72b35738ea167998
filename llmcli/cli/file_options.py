"""Options whose values stand in a file: what they may be called there, and what they may be.

It knows how a command declares its options, and no option by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from typer.core import TyperGroup, TyperOption

from llmcli.checkpoint.json_file import MIB, read_optional_text
from llmcli.cli.sampling_settings import nearest
from llmcli.errors import InvalidModelError, UsageError

MAX_BYTES = MIB // 4
# What belongs to one command line alone.
_NEVER = frozenset({"help", "prompt", "file"})


class FileOptions:
    """The options of some of a group's commands, by every name they have on a command line, with
    `_` for `-`; MODEL is `model`."""

    def __init__(self, group: TyperGroup, *commands: str) -> None:
        self.by_name: dict[str, Any] = {}
        for command in commands:
            for parameter in group.commands[command].params:
                if isinstance(parameter, TyperOption) and parameter.name not in _NEVER:
                    for name in parameter.opts:
                        if name.startswith("--"):
                            self.by_name[name[2:].replace("-", "_")] = parameter
                elif parameter.name == "model":
                    self.by_name["model"] = parameter

    def value(self, name: str, value: Any, file: Path, where: str) -> tuple[str, Any]:
        """The parameter that `name` is, and its value as a command line would give it.

        `where` comes before the name in messages. Raises UsageError.
        """
        parameter = self.by_name.get(name.replace("-", "_"))
        if parameter is None:
            raise unknown_key(file, where, name, self.by_name)
        told = f"{file}: {where}{name}"
        annotation = parameter.type_descriptor.annotation
        if get_args(annotation) and parameter.multiple:
            return parameter.name, _list(value, told)
        kind = annotation if annotation in (bool, int, float, Path) else str
        taken = plain(kind, value, told)
        if kind is Path:  # of files, too, the user will think as of the one that names them
            taken = str(file.parent / Path(taken).expanduser())
        return parameter.name, taken


def unknown_key(file: Path, where: str, name: object, known: Any) -> UsageError:
    """The error for a key that nobody knows, with the one that was perhaps meant."""
    return UsageError(f"{file}: {where}{str(name)[:60]} is unknown{nearest(str(name), known)}")


def read_settings(path: Path) -> str | None:
    """The text of a small file of settings; None where there is none. Raises UsageError."""
    try:
        return read_optional_text(path, limit_bytes=MAX_BYTES)
    except InvalidModelError as error:
        raise UsageError(str(error)) from None


def _list(value: Any, told: str) -> list[str]:
    """A text, several, or names with their numbers."""
    if isinstance(value, Mapping):
        return [
            f"{plain(str, name, told)}={plain(float, number, f'{told}: {name}')}"
            for name, number in value.items()
        ]
    return [plain(str, item, told) for item in (value if isinstance(value, list) else [value])]


def plain(kind: type, value: Any, told: str) -> Any:
    """The value, as whoever types an option of that kind would mean it. Raises UsageError."""
    accepted: dict[type, tuple[tuple[type, ...], str]] = {
        bool: ((bool,), "true or false"),
        int: ((int,), "a whole number"),
        float: ((int, float), "a number"),
        str: ((str, int, float), "a text"),
        Path: ((str,), "the name of a file"),
    }
    types, wanted = accepted[kind]
    if type(value) not in types:
        raise UsageError(f"{told} must be {wanted}, not {shown(value)}")
    return str(value) if kind is str else value


def shown(value: Any) -> str:
    """A wrong value, as short as a message needs it."""
    if isinstance(value, Mapping):
        return "a group of settings"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else repr(str(value)[:40])
