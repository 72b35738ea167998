"""config.toml: the user's own defaults for the options of any command.

It knows the file's layout, and nothing of what the options do.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from llmcli.cli.user_folders import config_file
from llmcli.errors import UsageError

Defaults = dict[str, Any]


def read_config(every_command: Callable[[], TyperGroup]) -> dict[str, Defaults]:
    """Command -> parameter -> value, as the file says; empty without one.

    Keys at the top are for every command that has such an option, those in a command's table for it
    alone. Raises UsageError.
    """
    try:
        file = config_file()
    except OSError:
        return {}
    if _is_missing(file):
        return {}
    import tomllib  # most people have no such file, and need nothing that reads it

    from llmcli.cli.file_options import read_settings

    text = read_settings(file)
    if text is None:
        return {}
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) or "nested too deeply"
        raise UsageError(f"{file}: not valid TOML: {reason}") from None
    return _by_command(given, every_command(), file)


def default_model(context: typer.Context) -> str | None:
    """The MODEL of the file, for a command without such an argument; a variable goes over it."""
    named = None if os.environ.get("LLMCLI_MODEL") else context.lookup_default("model")
    return None if named is None else str(named)


def _is_missing(file: Path) -> bool:
    try:
        file.lstat()
    except FileNotFoundError:
        return True
    except OSError:  # it is for the reading to tell
        pass
    return False


def _by_command(given: dict[str, Any], group: TyperGroup, file: Path) -> dict[str, Defaults]:
    from llmcli.cli.file_options import FileOptions, plain, unknown_key

    options = {name: FileOptions(group, name) for name in group.commands}
    everywhere = {name for each in options.values() for name in each.by_name}
    defaults: dict[str, Defaults] = {name: {} for name in options}
    tables = {name for name, value in given.items() if isinstance(value, dict) and name in options}
    for name, value in given.items():
        if name in tables:
            continue
        if name == "model":  # also for commands that sort out their arguments by themselves
            for each in defaults.values():
                each["model"] = plain(str, value, f"{file}: model")
        elif name.replace("-", "_") not in everywhere:
            raise unknown_key(file, "", name, everywhere | set(options))
        for command, known in options.items():
            if name != "model" and name.replace("-", "_") in known.by_name:
                parameter, taken = known.value(name, value, file, "")
                defaults[command][parameter] = taken
    for command in tables:
        for name, value in given[command].items():
            parameter, taken = options[command].value(name, value, file, f"{command}.")
            defaults[command][parameter] = taken
    return defaults
