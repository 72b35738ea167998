"""A report dataclass -> JSON. It knows nothing of any particular report."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as dicts and lists, ready for `json.dumps`; a named tuple is
    a dict, too.

    A dataclass may name its schema in a class variable `schema` ("bench/1"): it becomes the first
    key. A field whose metadata holds `{"json": False}` is left out.
    """
    value = _opened(value)
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and value != value:
        raise ValueError("a report may not hold NaN: JSON cannot carry it; use None")
    return value


def to_json(report: Any, *, indent: int | None = 2) -> str:
    """One JSON document; with `indent=None` on one line, for JSON Lines."""
    return _ENCODER.encode(to_plain(report)) if indent is None else "".join(json_pieces(report))


def json_pieces(report: Any, margin: str = "\n") -> Iterator[str]:
    """The document piece by piece, so that a large one is never held as a whole. What holds objects
    has a line for each key or item; what holds none is on one line: a tensor, a row of figures."""
    value = _opened(report)
    if not isinstance(value, (dict, list, tuple)) or _fits_a_line(value):
        yield _ENCODER.encode(value)
        return
    pairs = isinstance(value, dict)
    before = "{" if pairs else "["
    for key in value:
        yield f"{before}{margin}  "
        item = key
        if pairs:
            yield f"{_ENCODER.encode(str(key))}: "
            item = value[key]
        yield from json_pieces(item, f"{margin}  ")
        before = ","
    yield margin + ("}" if pairs else "]")


def _opened(value: Any) -> Any:
    """A dataclass or a named tuple as a dict; any other value as it is."""
    if isinstance(value, tuple):
        return value._asdict() if hasattr(value, "_asdict") else value
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    schema = getattr(type(value), "schema", None)
    plain: dict[str, Any] = {} if schema is None else {"schema": schema}
    for field in dataclasses.fields(value):
        if field.metadata.get("json", True):
            plain[field.name] = getattr(value, field.name)
    return plain


_PLAIN = frozenset({type(None), bool, int, float, str})


def _fits_a_line(value: Any) -> bool:
    """Whether an object or list holds no object, and no list of more than plain values."""
    items = value.values() if isinstance(value, dict) else [value]
    return all(map(_is_row, [item for item in items if type(item) not in _PLAIN]))


def _is_row(value: Any) -> bool:
    return type(value) in (list, tuple) and _PLAIN.issuperset(map(type, value))
