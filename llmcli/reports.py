"""A report dataclass -> plain JSON values. It knows nothing of any particular report."""

import dataclasses
import json
from typing import Any


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as dicts and lists, ready for `json.dumps`; a named tuple is
    a dict, too.

    A dataclass may name its schema in a class variable `schema` ("bench/1"): it becomes the first
    key. A field whose metadata holds `{"json": False}` is left out.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain: dict[str, Any] = {}
        schema = getattr(type(value), "schema", None)
        if schema is not None:
            plain["schema"] = schema
        for field in dataclasses.fields(value):
            if field.metadata.get("json", True):
                plain[field.name] = to_plain(getattr(value, field.name))
        return plain
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: to_plain(item) for name, item in zip(value._fields, value, strict=True)}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and value != value:
        raise ValueError("a report may not hold NaN: JSON cannot carry it; use None")
    return value


def to_json(report: Any, *, indent: int | None = 2) -> str:
    """One JSON document; with `indent=None` on one line, for JSON Lines."""
    return json.dumps(to_plain(report), indent=indent, ensure_ascii=False, allow_nan=False)
