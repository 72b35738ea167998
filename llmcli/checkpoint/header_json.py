"""How the JSON text of a safetensors header is read: stricter than any JSON library by itself.

It knows nothing of what dtypes, shapes and offsets must be.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

# Python needs seconds for tens of millions of values; the largest models list some thousand tensors
# in a file, at about five commas each.
_MAX_COMMAS = 1_000_000
_LIMIT = 2**64  # what the counters of the safetensors library hold

METADATA = "__metadata__"

# A header as the library writes it: no blanks, no escapes, the fields of a tensor in this order.
_NUMBER = "(?:0|[1-9][0-9]{0,18}+)"
_START = re.compile(rf'\{{(?:"{METADATA}":(\{{[^{{}}\\]*+\}}),)?')
_TENSOR = re.compile(
    r'"([^"\\\x00-\x1f]*+)":\{'
    rf'("dtype":"[A-Z0-9_]*+","shape":\[(?:{_NUMBER}(?:,{_NUMBER})*+)?\])'
    rf',"data_offsets":\[({_NUMBER}),({_NUMBER})\]\}},'
)
_BESIDE_GROUPS = len('"":{,"data_offsets":[,]},')


class Fault(Exception):
    """Why a header is refused; whoever knows the file adds its name."""


@dataclass(frozen=True)
class CompactHeader:
    """What a compact text says: of each tensor the name, dtype and shape as one text, and where it
    starts and stops, as digits."""

    metadata: dict[str, Any]
    tensors: list[tuple[str, str, str, str]]


def parse_compact(text: bytes) -> CompactHeader | None:
    """The header, if it is one as the safetensors library writes it; None for any other, which
    `parse_object` reads or refuses. Names may be told twice. Raises Fault."""
    if text.count(b",") > _MAX_COMMAS:
        return None
    try:
        compact = text.rstrip(b" ").decode("utf-8")
    except UnicodeDecodeError:
        return None
    start = _START.match(compact)
    if start is None or not compact.endswith("}"):
        return None
    body = compact[start.end() : -1] + ","
    tensors = _TENSOR.findall(body)
    # Matches do not overlap: together they are as long as the text only where they are all of it.
    matched = sum(map(len, map("".join, tensors))) + _BESIDE_GROUPS * len(tensors)
    if not tensors or matched != len(body):
        return None
    return CompactHeader(parse_object((start[1] or "{}").encode()), tensors)


def parse_object(text: bytes) -> dict[str, Any]:
    """The JSON object that `text` is: whole numbers from 0 to 2^64 - 1 only, no key twice.

    Raises Fault.
    """
    if not text.startswith(b"{"):
        raise Fault("not a safetensors file: its header is not a JSON object")
    if text.count(b",") > _MAX_COMMAS:
        raise Fault(f"the header lists more than {_MAX_COMMAS:,} values")
    try:
        # Floats occur nowhere in a header. Hooks see every number, so that the spellings which
        # Python takes and JSON libraries do not (NaN, -0 as a count) cannot slip through.
        entries = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_int=_natural,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except UnicodeDecodeError as error:
        raise Fault(f"the header is not UTF-8 text (its byte {error.start})") from None
    except RecursionError:
        raise Fault("the header is nested too deeply") from None
    except ValueError as error:
        raise Fault(f"the header is not valid JSON: {error}") from None
    assert isinstance(entries, dict)  # it began with a brace
    return entries


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Fault(f"the header names {short(name)} twice")
            seen.add(name)
    return entries


def _natural(digits: str) -> int:
    if digits.startswith("-"):
        raise Fault(f"the header holds a negative number, {digits[:30]}")
    if len(digits) > 20 or (number := int(digits)) >= _LIMIT:
        raise Fault(f"the header holds a number that is too large, {digits[:30]}")
    return number


def _refuse_number(spelling: str) -> None:
    raise Fault(f"the header holds {spelling[:30]}, which is not a whole number")


def check_text(text: str) -> None:
    """Refuse text that Python holds but UTF-8 cannot. Raises Fault."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Fault("the header holds half a surrogate pair in a string") from None


def short(text: str) -> str:
    """Text out of a file, at a length that fits a message."""
    return text if len(text) <= 80 else f"{text[:77]}..."
