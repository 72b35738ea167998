"""Schemas without properties that nobody asked for: what fits the closed one fits the open one."""

import json
from typing import Any

import pytest

from llmcli.engine.closed_schema import closed

NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
CLOSED = {**NAMED, "additionalProperties": False}


def close(schema: Any) -> Any:
    return json.loads(closed(json.dumps(schema)))


@pytest.mark.parametrize(
    "around",
    [
        lambda schema: schema,
        lambda schema: {"type": "array", "items": schema},
        lambda schema: {"prefixItems": [{"type": "string"}, schema]},
        lambda schema: {"anyOf": [schema, {"type": "null"}], "title": "Maybe"},
        lambda schema: {"$defs": {"person": schema}, "$ref": "#/$defs/person"},
        lambda schema: {"additionalProperties": True, "properties": {"who": schema}},
    ],
)
def test_objects_that_name_properties_have_no_others(around: Any) -> None:
    assert close(around(NAMED)) == around(CLOSED)
    assert closed(json.dumps(around(CLOSED))) == json.dumps(around(CLOSED))


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"type": "object"},
        {**NAMED, "additionalProperties": True},
        {**NAMED, "additionalProperties": {"type": "integer"}},
        {**NAMED, "patternProperties": {"^x": {}}},
        {**NAMED, "required": ["name", "age"]},
        {**NAMED, "minProperties": 2},
        {"enum": [{"properties": {"a": 1}}]},
    ],
)
def test_what_may_have_others_or_must_is_left_open(schema: Any) -> None:
    assert closed(json.dumps(schema)) == json.dumps(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [NAMED, {"properties": {"age": {"type": "integer"}}, "required": ["age"]}]},
        {"oneOf": [NAMED, {"properties": {"age": {}}}]},
        {"$defs": {"a": NAMED}, "$ref": "#/$defs/a", "properties": {"age": {}}},
        {"$defs": {"a": NAMED}, "properties": {"age": {}}, "anyOf": [{"$ref": "#/$defs/a"}]},
        {"items": {"anyOf": [NAMED], "required": ["age"]}},
    ],
)
def test_objects_that_have_to_fit_two_schemas_stay_open(schema: Any) -> None:
    assert closed(json.dumps(schema)) == json.dumps(schema)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"properties": {"a": {"const": 1e999}}}'])
def test_what_cannot_be_read_is_left_to_others(text: str) -> None:
    assert closed(text) == text
