"""headers against damaged ones of every make: the reader of compact texts takes nothing that the
other refuses, neither takes what the safetensors library refuses, and what is taken is equal."""

import json
import math
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
from header_files import Taken, file_bytes, library_takes, tensor, we_take
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from llmcli.checkpoint import headers
from llmcli.checkpoint.header_json import Fault
from llmcli.checkpoint.headers import BITS, Header, read_header
from llmcli.errors import InvalidModelError

N_MUTATED = 20_000


# With colons and minuses inside strings.
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


def read_as(reader: Callable[..., Header | None], data: bytes) -> Taken | None:
    """What one of the two readers alone takes; None where it refuses, or leaves it to the other."""
    stop = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 9 or stop > len(data):
        return None
    try:
        header = reader(data[8:stop], stop, len(data), Path("x.safetensors"))
    except Fault:
        return None
    return header and {name: each[1:5] for name, each in header.tensors.items()}


def test_readers_and_library_agree_on_what_is_damaged():
    chance = random.Random(20)
    taken = fast = 0
    for _ in range(N_MUTATED):
        data = mutated(chance)
        taken += compare(data)
        compact = read_as(headers._compact, data)
        if compact is not None:
            fast += 1
            assert compact == read_as(headers._any, data), data
    assert N_MUTATED // 50 < taken < N_MUTATED // 2  # both kinds are met
    assert fast > N_MUTATED // 100


def compact_file(chance: random.Random) -> bytes:
    """A file as the library writes it, but that tensors may lie elsewhere or be told twice, that
    widths may be spelled otherwise, and that dtypes may be none."""
    end, entries = 0, ['"__metadata__":{"format":"pt"}'] if chance.random() < 0.5 else []
    for number in range(chance.randint(1, 5)):
        dtype = chance.choice(["U8", "F32", "F4"] * 9 + ["F33", "__"])
        shape = [chance.choice([0, 1, 2, 8]) for _ in range(chance.randint(0, 3))]
        start, end = end, end + math.prod(shape) * BITS.get(dtype, 8) // 8
        widths = chance.choice(["{}"] * 30 + ["-{}", "0{}", "{}.0"]).format(
            ",".join(map(str, shape))
        )
        name = chance.choice(["", "a", "é:\x7f", "-0"]) + str(chance.choice([number] * 20 + [0]))
        if chance.random() < 0.03:
            start += chance.choice([-1, 1])
        entries.append(
            f'"{name}":{{"dtype":"{dtype}","shape":[{widths}],"data_offsets":[{start},{end}]}}'
        )
    if chance.random() < 0.1:
        chance.shuffle(entries)
    text = "{" + ",".join(entries) + chance.choice(["}"] * 20 + ["} ", "}}", ",}", "}\n", ""])
    return file_bytes(text.encode(), end + chance.choice([0] * 20 + [-1, 1]) if end else 0)


def test_the_reader_of_compact_headers_takes_nothing_that_the_other_refuses():
    chance = random.Random(24)
    fast = slow = 0
    for _ in range(N_MUTATED // 2):
        data = compact_file(chance)
        ours = compare(data)
        compact = read_as(headers._compact, data)
        assert compact is None or compact == read_as(headers._any, data), data
        fast += compact is not None
        slow += ours and compact is None
    assert fast > N_MUTATED // 8
    assert slow > 0  # out of order, or with blanks behind


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
