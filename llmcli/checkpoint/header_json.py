"""How the JSON text of a safetensors header is read: stricter than any JSON library by itself.

It knows nothing of tensors.
"""

import json
from typing import Any

# Python needs seconds for tens of millions of values; the largest models list some thousand tensors
# in a file, at about five commas each.
_MAX_COMMAS = 1_000_000
_LIMIT = 2**64  # what the counters of the safetensors library hold


class Fault(Exception):
    """Why a header is refused; whoever knows the file adds its name."""


def parse_object(text: bytes) -> dict[str, Any]:
    """The JSON object that `text` is: whole numbers from 0 to 2^64 - 1 only, no key twice.

    A number above 2^64 - 1 may be left to whoever reads it. Raises Fault.
    """
    if not text.startswith(b"{"):
        raise Fault("not a safetensors file: its header is not a JSON object")
    if text.count(b",") > _MAX_COMMAS:
        raise Fault(f"the header lists more than {_MAX_COMMAS:,} values")
    entries = _plain_object(text)
    return _any_object(text) if entries is None else entries


def _plain_object(text: bytes) -> dict[str, Any] | None:
    """A header as tools write them, read ten times as fast: by Python's own reader, which keeps of
    equal keys the last and takes -0 for 0.

    None wherever that could have mattered: the number of colons outside of strings is that of the
    keys only where none was lost, and a minus outside of strings is one too many.
    """
    if b"\\" in text:  # a colon or a key may be spelled in another way
        return None
    try:
        entries = json.loads(
            text.decode("utf-8"), parse_float=_refuse_number, parse_constant=_refuse_number
        )
    except (ValueError, RecursionError):
        return None
    objects = [value for value in entries.values() if type(value) is dict]
    keys = len(entries) + sum(map(len, objects))
    strings = list(entries)
    metadata = entries.get("__metadata__")
    if type(metadata) is dict:
        strings += [each for pair in metadata.items() for each in pair if type(each) is str]
    colons, minuses = text.count(b":"), text.count(b"-")
    if colons != keys or minuses:
        joined = "\0".join(strings)
        colons -= joined.count(":")
        minuses -= joined.count("-")
    return entries if colons == keys and minuses == 0 else None


def _any_object(text: bytes) -> dict[str, Any]:
    """The same of any text, with the reason where it is refused."""
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
