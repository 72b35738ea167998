"""Where a user's own files lie, by the XDG base directory specification. It knows no file in them.

https://specifications.freedesktop.org/basedir-spec/latest/
"""

import os
from pathlib import Path


def user_folder(variable: str, fallback: str) -> Path:
    """The folder `llmcli` in the one that `variable` names, else in `fallback` of the home folder.

    Raises OSError where there is no home folder.
    """
    named = Path(os.environ.get(variable, ""))
    try:
        parent = named if named.is_absolute() else Path("~", fallback).expanduser()
    except RuntimeError:
        raise OSError("there is no home folder") from None
    return parent / "llmcli"


def sessions_folder() -> Path:
    """Where chats are kept. Raises OSError where there is no home folder."""
    return user_folder("XDG_DATA_HOME", ".local/share") / "sessions"


def history_file() -> Path:
    """Where the prompts of all chats are kept. Raises OSError where there is no home folder."""
    return user_folder("XDG_STATE_HOME", ".local/state") / "history"


def config_file() -> Path:
    """Where the user's defaults stand. Raises OSError where there is no home folder."""
    return user_folder("XDG_CONFIG_HOME", ".config") / "config.toml"
