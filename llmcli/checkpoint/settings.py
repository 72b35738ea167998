"""Typed reading of one JSON object's settings, each error naming the file, the key and the value.

It knows nothing of which settings exist.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmcli.checkpoint.json_file import json_type
from llmcli.errors import InvalidModelError

# More than any published model has by orders of magnitude; a number beyond it is a damaged file.
LARGEST = 2**31 - 1


class Settings:
    """The settings of one object, with a default for each key that may be absent."""

    def __init__(
        self, values: Mapping[str, Any], defaults: Mapping[str, Any], file: Path, where: str = ""
    ) -> None:
        self._values, self._defaults, self.file, self._where = values, defaults, file, where

    def has(self, key: str) -> bool:
        """Whether the file itself gives a value that is not null."""
        return self._values.get(key) is not None

    def has_default(self, key: str) -> bool:
        """Whether the family knows this key."""
        return key in self._defaults

    def empty(self) -> "Settings":
        """An object in the same file that gives nothing."""
        return Settings({}, {}, self.file)

    def raw(self, key: str) -> Any:
        """The file's value, perhaps null; else the default. Raises InvalidModelError where there
        is neither."""
        if key in self._values:
            return self._values[key]
        if key in self._defaults:
            return self._defaults[key]
        raise self.error(key, "is missing")

    def integer(self, key: str, *, least: int = 1, most: int = LARGEST) -> int:
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(key, f"must be a whole number, not {_shown(value)}")
        if not least <= value <= most:
            raise self.error(key, f"must be from {least} to {most}, not {_shown(value)}")
        return value

    def number(self, key: str, *, least: float = 0.0) -> float:
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, f"must be a number, not {_shown(value)}")
        if not least <= value <= 1e30:
            raise self.error(key, f"must be from {least:g} to 1e30, not {_shown(value)}")
        return float(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """An array of positive numbers."""
        values = self.raw(key)
        if not isinstance(values, list):
            raise self.error(key, f"must be an array of numbers, not {_shown(values)}")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise self.error(key, f"must hold positive numbers, not {_shown(value)}")
        return tuple(map(float, values))

    def boolean(self, key: str) -> bool:
        value = self.raw(key)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {_shown(value)}")
        return value

    def text(self, key: str) -> str:
        value = self.raw(key)
        if not isinstance(value, str):
            raise self.error(key, f"must be a text, not {_shown(value)}")
        return value

    def section(self, key: str, defaults: Mapping[str, Any]) -> "Settings | None":
        """The object under `key`, or None where it is absent or null."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.error(key, f"must be an object, not {_shown(value)}")
        return Settings(value, defaults, self.file, f"{self._where}{key}.")

    def error(self, key: str, problem: str) -> InvalidModelError:
        return InvalidModelError(f"{self.file}: {self._where}{key} {problem}")


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json_type(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)[:60]
