"""reports: a dataclass as one JSON document, a line for what holds no more than plain values."""

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytest

from llmcli.reports import to_json, to_plain


class Row(NamedTuple):
    name: str
    shape: tuple[int, ...]
    share: float | None


@dataclass(frozen=True)
class Report:
    schema: ClassVar[str] = "report/1"

    rows: tuple[Row, ...]
    named: dict[str, Any]
    rest: Any = None
    hidden: int = field(default=1, metadata={"json": False})


REPORT = Report(
    (Row("é\n", (2, 3), None), Row("b", (), 0.5)), {"a": Row("c", (1,), 1.0)}, [[1], []]
)


def test_a_document_has_a_line_for_each_row():
    assert to_json(REPORT).splitlines() == [
        "{",
        '  "schema": "report/1",',
        '  "rows": [',
        '    {"name": "é\\n", "shape": [2, 3], "share": null},',
        '    {"name": "b", "shape": [], "share": 0.5}',
        "  ],",
        '  "named": {',
        '    "a": {"name": "c", "shape": [1], "share": 1.0}',
        "  },",
        '  "rest": [',
        "    [1],",
        "    []",
        "  ]",
        "}",
    ]


def test_both_forms_are_the_same_document():
    assert json.loads(to_json(REPORT)) == json.loads(to_json(REPORT, indent=None))
    assert "\n" not in to_json(REPORT, indent=None)
    assert json.loads(to_json(REPORT)) == to_plain(REPORT)
    assert to_json({}) == "{}"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("indent", [None, 2])
def test_what_json_cannot_carry_is_no_number(number, indent):
    with pytest.raises(ValueError, match="JSON"):
        to_json(Report((), {"a": [number]}), indent=indent)
