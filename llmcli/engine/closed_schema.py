"""A JSON schema with no properties but those it names, where it leaves that open.

It knows where schemas stand within a schema, and nothing of how answers are made.
"""

import json
from collections.abc import Iterator
from typing import Any

# Keywords that say nothing of which properties there may be, beside those that are looked at.
_ANNOTATIONS = frozenset({"$comment", "$defs", "$id", "$schema", "default", "definitions"})
_ANNOTATIONS |= {"deprecated", "description", "examples", "title", "x-guidance"}
_PLAIN_OBJECT = _ANNOTATIONS | {"type", "properties", "required"}
# One value has to fit more than one schema, or not to fit one.
_ENTANGLING = frozenset({"allOf", "oneOf", "not", "if", "contains", "dependentSchemas"})
_ELSEWHERE = frozenset({"$ref", "anyOf"})


def closed(text: str) -> str:
    """The schema `text`, each object that names properties and says nothing of others having
    none but them. `"additionalProperties": true` says something.

    What fits the result fits `text` too. A small model that was asked for a name and a city goes
    on with properties of its own; llama.cpp reads schemas like that as well. What is no JSON, and
    a schema in which closing one object could contradict another, comes back as it is.
    """
    try:
        schema = json.loads(text)
        if any(map(_is_entangled, _dicts([schema]))):
            return text
        open_ones = [each for each in _schemas(schema) if _is_open(each)]
        for each in open_ones:
            each["additionalProperties"] = False
        return json.dumps(schema, allow_nan=False) if open_ones else text
    except (ValueError, RecursionError):  # whoever reads it next says what is wrong
        return text


def _is_open(schema: dict[str, Any]) -> bool:
    """Whether it names properties, all it requires among them, and says no more about them."""
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict) or not properties or not isinstance(required, list):
        return False
    return schema.keys() <= _PLAIN_OBJECT and all(name in properties for name in required)


def _is_entangled(schema: dict[str, Any]) -> bool:
    """Whether a value that has to fit a part of it has to fit another one as well."""
    alone = len(schema.keys() - _ANNOTATIONS) == 1
    return bool(_ENTANGLING & schema.keys()) or bool(_ELSEWHERE & schema.keys() and not alone)


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """It, and those within it."""
    if not isinstance(schema, dict):
        return
    yield schema
    parts = [[schema.get("items")]]
    for name in ("properties", "$defs", "definitions"):
        part = schema.get(name)
        parts.append([*part.values()] if isinstance(part, dict) else [])
    for name in ("prefixItems", "anyOf"):
        part = schema.get(name)
        parts.append(part if isinstance(part, list) else [])
    for part in parts:
        for each in part:
            yield from _schemas(each)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
        value = value.values()
    for each in value:
        if isinstance(each, (dict, list)):
            yield from _dicts(each)
