"""headers against damaged ones of every make: the fast reader takes nothing that the strict one
refuses, neither takes what the safetensors library refuses, and what is taken is equal."""

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from llmcli.checkpoint import header_json
from llmcli.checkpoint.header_json import Fault
from llmcli.checkpoint.headers import BITS, parse_header, read_header
from llmcli.errors import InvalidModelError

Taken = dict[str, tuple[str, tuple[int, ...], int]]
N_MUTATED = 20_000


def file_bytes(text: bytes, n_data: int = 0) -> bytes:
    return struct.pack("<Q", len(text)) + text + bytes(n_data)


def tensor(dtype: str, shape: list[Any], start: int, stop: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


# With colons and minuses inside strings, which the fast reader counts.
GOOD = {
    "__metadata__": {"format": "pt", "a:b-c": "-1: :"},
    "model.layers.0.a": tensor("F32", [2, 3], 0, 24),
    "b-b": tensor("BF16", [4], 24, 32),
    "empty:": tensor("F32", [0, 7], 32, 32),
    "scalar": tensor("I64", [], 32, 40),
}
COMPACT = json.dumps(GOOD, separators=(",", ":")).encode()
PIECES = [b"", b"0", b"-", b"1", b" ", b"\n", b"\x00", b'"', b",", b":", b"[", b"]", b"{", b"}"]
PIECES += [b"null", b"true", b"1.5", b"e1", b"-0", b"NaN", b"\\u0000", b"\\ud83d", b"\\", b"\xc3"]
PIECES += [b"18446744073709551616", b'"a":1,', b'"dtype":"U8",', b'"shape":[1],', b"\xef\xbb\xbf"]
NUMBERS = [0, 1, 2, 3, 4, 6, 8, 24, 32, 40, 2**31, 2**32, 2**63, 2**64 - 1, 2**64, -1, True, 0.5]


def library_takes(data: bytes) -> Taken | None:
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError:
        return None
    return {
        name: (entry["dtype"], tuple(entry["shape"]), len(entry["data"])) for name, entry in tensors
    }


def we_take(data: bytes) -> Taken | None:
    try:
        header = parse_header(data, len(data), Path("x.safetensors"))
    except InvalidModelError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 400
        return None
    return {name: (each.dtype, each.shape, each.nbytes) for name, each in header.tensors.items()}


def compare(data: bytes) -> bool:
    """Whether we take it; if so, the library does, and reads the same."""
    ours = we_take(data)
    if ours is not None:
        assert ours == library_takes(data), data
    return ours is not None


def mutated(chance: random.Random) -> bytes:
    """A file that may or may not be good any more: bytes, text or values were changed."""
    kind = chance.randrange(4)
    if kind == 0:
        data = bytearray(file_bytes(COMPACT, 40))
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data) - 40)] = chance.randrange(256)
        return bytes(data)
    if kind == 1:
        text = bytearray(COMPACT)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(text))
            text[place : place + chance.randint(0, 2)] = chance.choice(PIECES)
        return file_bytes(bytes(text), 40)
    if kind == 2:  # a piece of the text once more, or gone
        start = chance.randrange(len(COMPACT))
        stop = min(len(COMPACT), start + chance.randint(1, 80))
        again = chance.choice([b"", COMPACT[start:stop] * 2])
        return file_bytes(COMPACT[:start] + again + COMPACT[stop:], 40)
    header = json.loads(json.dumps(GOOD))
    for _ in range(chance.randint(1, 3)):
        entry = header[chance.choice([name for name in GOOD if name != "__metadata__"])]
        field = chance.choice(["dtype", "shape", "data_offsets"])
        if field == "dtype":
            entry[field] = chance.choice([*BITS, "f32", "F128", "", None, 3])
        else:
            entry[field] = [chance.choice(NUMBERS) for _ in range(chance.randint(0, 3))]
    return file_bytes(json.dumps(header).encode(), chance.choice([0, 24, 40, 40, 40, 41]))


def read_fast(text: bytes) -> dict[str, Any] | None:
    """What the fast reader alone gives; None where it refuses, or leaves it to the strict one."""
    try:
        return header_json._plain_object(text)
    except Fault:
        return None


def test_readers_and_library_agree_on_what_is_damaged():
    chance = random.Random(20)
    taken = fast = 0
    for _ in range(N_MUTATED):
        data = mutated(chance)
        taken += compare(data)
        text = data[8:].rstrip(b"\0")
        entries = read_fast(text) if text.startswith(b"{") else None
        if entries is None:
            continue
        fast += 1
        try:
            assert header_json._any_object(text) == entries, text
        except Fault as fault:
            assert "too large" in str(fault), text  # left to whoever reads the number
    assert N_MUTATED // 50 < taken < N_MUTATED // 2  # both kinds are met
    assert fast > N_MUTATED // 20


# Texts of a header, piece by piece: keys may be equal, numbers spelled in any way.
names = some.text(some.sampled_from("ab:-é \u2028🙂0"), max_size=4)
numbers = some.sampled_from(
    ["0", "1", "2", "3", "8", "-0", "-1", "1.0", "1e0", "01", "NaN", "true", "null", "1" * 20]
)
lists = some.lists(numbers, max_size=3).map(lambda items: f"[{','.join(items)}]")
dtypes = some.sampled_from(['"U8"', '"F32"', '"F4"', '"BOOL"', '"f32"', "null", "8", '"a:b"'])
fields = some.one_of(
    some.tuples(some.just('"dtype"'), dtypes),
    some.tuples(some.sampled_from(['"shape"', '"data_offsets"', '"more"']), lists),
)
strings = names.map(lambda name: json.dumps(name, ensure_ascii=False))
colons = some.sampled_from([":", " : ", ":\n"])


@some.composite
def objects(draw, pairs) -> str:
    chosen = draw(some.lists(pairs, max_size=4))
    return "{" + ",".join(key + draw(colons) + value for key, value in chosen) + "}"


@some.composite
def good_entries(draw) -> str:
    dtype = draw(some.sampled_from(["U8", "I16", "F32", "F64", "C64"]))
    shape = draw(some.lists(some.integers(0, 3), max_size=3))
    size = BITS[dtype] // 8
    for width in shape:
        size *= width
    start = draw(some.sampled_from([0, 0, 0, 1, 8]))
    return json.dumps(tensor(dtype, shape, start, start + size))


values = some.one_of(
    good_entries(), objects(fields), lists, objects(some.tuples(strings, strings)), strings
)
keys = some.one_of(strings, some.just('"__metadata__"'), some.sampled_from(['"\\u0061"', '"a"']))
texts = objects(some.tuples(keys, values))
quick = settings(
    max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@quick
@given(texts, some.integers(0, 40), some.sampled_from(["", " ", "\n", "x", "\0"]))
def test_any_text_that_looks_like_a_header(text, n_data, tail):
    compare(file_bytes((text + tail).encode(), n_data))


@quick
@given(some.binary(max_size=120), some.integers(-2, 130))
def test_any_bytes_after_any_length(data, length):
    compare(struct.pack("<q", length) + data)
    compare(data)


def test_what_is_read_from_a_file_is_what_safe_open_reads(tmp_path):
    """The same by the library's other entrance, which maps the file."""
    chance = random.Random(23)
    path = tmp_path / "x.safetensors"
    taken = 0
    for _ in range(600):
        path.write_bytes(mutated(chance))
        try:
            ours = read_header(path).tensors
        except InvalidModelError:
            continue
        with safetensors.safe_open(path, "np") as opened:
            assert set(opened.keys()) == set(ours)
            for name in ours:
                assert tuple(opened.get_slice(name).get_shape()) == ours[name].shape
        taken += 1
    assert taken > 10


@pytest.mark.parametrize("length", [10, 1_000, 100_000])
def test_long_texts_of_one_kind_are_refused_or_read(length):
    """Where a reader might take long, or much memory: digits, brackets, keys, blanks."""
    for text in (b'{"a":' + b"1" * length, b'{"a":' * length, b"{" * length, b'{"a' * length):
        assert we_take(file_bytes(text)) is None
    members = ",".join(f'"k{number}":[]' for number in range(length // 10))
    assert we_take(file_bytes(b"{" + members.encode() + b"}")) is None
    assert we_take(file_bytes(b"{}" + b" " * length)) == {}
