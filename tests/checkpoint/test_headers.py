"""headers: what the safetensors library takes is read alike; what it refuses is refused."""

import json
import random
import struct
from pathlib import Path

import pytest
from header_files import file_bytes, library_takes, tensor, we_take
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from llmcli.checkpoint.headers import (
    BITS,
    header_stop,
    parse_header,
    read_header,
)
from llmcli.errors import InvalidModelError

GOOD = {
    "__metadata__": {"format": "pt"},
    "a": tensor("F32", [2, 3], 0, 24),
    "b": tensor("BF16", [4], 24, 32),
    "empty": tensor("F32", [0, 7], 32, 32),
    "scalar": tensor("I64", [], 32, 40),
}
GOOD_FILE = file_bytes(GOOD, 40)


def test_a_file_of_the_library_is_read_as_the_library_reads_it(tmp_path):
    import numpy

    arrays = {
        "x.weight": numpy.arange(6, dtype=numpy.float32).reshape(2, 3),
        "y": numpy.zeros((0, 4), dtype=numpy.int8),
        "Ünicode": numpy.array(3, dtype=numpy.int64),
    }
    path = tmp_path / "model.safetensors"
    save_file(arrays, path, metadata={"format": "np"})
    header = read_header(path)
    data = path.read_bytes()
    assert header.metadata == {"format": "np"}
    assert header.size == len(data)
    assert we_take(data) == library_takes(data)
    found = header.tensors["x.weight"]
    assert (found.file, found.n_values, found.nbytes) == ("model.safetensors", 6, 24)
    assert data[found.start : found.stop] == arrays["x.weight"].tobytes()


def test_every_dtype_of_the_library_is_known_with_its_width():
    for dtype, bits in BITS.items():
        data = file_bytes({"t": tensor(dtype, [8], 0, bits)}, bits)
        assert library_takes(data) == we_take(data) == {"t": (dtype, (8,), bits)}, dtype


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2"])
def test_values_below_a_byte_must_fill_whole_bytes(dtype):
    data = file_bytes({"t": tensor(dtype, [3], 0, 2)}, 2)
    assert library_takes(data) is None
    assert we_take(data) is None


REFUSED = {
    "empty": (b"", "empty"),
    "seven bytes": (b"\x01" + bytes(6), "only 7 bytes"),
    "length 0": (bytes(64), "header length is 0"),
    "length beyond the file": (struct.pack("<Q", 500) + b"{}", "cut"),
    "length over 100 MB": (struct.pack("<Q", 100_000_001) + bytes(20), "100,000,001 bytes"),
    "length of 2^63": (struct.pack("<Q", 2**63) + bytes(20), "not a safetensors file"),
    "bad UTF-8": (file_bytes(b'{"\xff":1}'), "UTF-8"),
    "bad JSON": (file_bytes(b'{"a":'), "not valid JSON"),
    "a list": (file_bytes(b"[]"), "not a JSON object"),
    "leading space": (file_bytes(b" {}"), "not a JSON object"),
    "NaN": (file_bytes(b'{"a":NaN}'), "NaN"),
    "deep nesting": (file_bytes(b'{"a":' * 50_000), "nested too deeply"),
    "deep lists": (file_bytes(b'{"a":' + b"[" * 200_000), "nested too deeply"),
    "millions of numbers": (file_bytes(b'{"a":[' + b"1," * 1_000_001), "more than"),
    "duplicate tensor": (
        file_bytes(
            b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
            b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
            1,
        ),
        "twice",
    ),
    "duplicate field": (
        file_bytes(b'{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', 1),
        "twice",
    ),
    "unknown dtype": (file_bytes({"a": tensor("F33", [1], 0, 4)}, 4), "unknown dtype F33"),
    "dtype not a string": (file_bytes({"a": tensor(7, [1], 0, 4)}, 4), "unknown dtype"),
    "negative width": (file_bytes({"a": tensor("F32", [-1, -1], 0, 4)}, 4), "negative"),
    "minus zero": (
        file_bytes(b'{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'),
        "negative",
    ),
    "boolean width": (file_bytes({"a": tensor("F32", [True], 0, 4)}, 4), "whole numbers"),
    "boolean offset": (file_bytes({"a": tensor("U8", [1], False, True)}, 1), "whole numbers"),
    "fraction": (file_bytes({"a": tensor("F32", [1.0], 0, 4)}, 4), "not a whole number"),
    "huge number": (file_bytes({"a": tensor("F32", [10**30], 0, 4)}, 4), "too large"),
    "overflowing shape": (file_bytes({"a": tensor("F32", [2**40, 2**40], 0, 4)}, 4), "overflows"),
    "overflow before a zero": (
        file_bytes({"a": tensor("F32", [2**40, 2**40, 0], 0, 0)}),
        "overflows",
    ),
    "shape is a number": (file_bytes({"a": tensor("F32", 1, 0, 4)}, 4), "list of whole"),
    "three offsets": (
        file_bytes({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 2]}}, 1),
        "two whole numbers",
    ),
    "offsets reversed": (file_bytes({"a": tensor("U8", [1], 1, 0)}, 1), "data_offsets [1, 0]"),
    "offsets and shape differ": (file_bytes({"a": tensor("F32", [2], 0, 4)}, 4), "needs 8"),
    "hole": (
        file_bytes({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, 3),
        "follows a hole",
    ),
    "hole at the start": (file_bytes({"a": tensor("U8", [1], 1, 2)}, 2), "follows a hole"),
    "overlap": (
        file_bytes({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, 3),
        "overlaps",
    ),
    "tail bytes": (file_bytes({"a": tensor("U8", [1], 0, 1)}, 3), "2 bytes follow"),
    "cut data": (file_bytes({"a": tensor("U8", [9], 0, 9)}, 3), "cut"),
    "missing field": (file_bytes({"a": {"dtype": "U8", "shape": [1]}}, 1), "must have dtype"),
    "tensor is a list": (file_bytes({"a": []}), "must have dtype"),
    "metadata is a list": (file_bytes({"__metadata__": []}), "must be an object"),
    "metadata of numbers": (file_bytes({"__metadata__": {"a": 1}}), "must be a string"),
    "lone surrogate": (
        file_bytes(b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
        "surrogate",
    ),
    "LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
        "Git LFS pointer",
    ),
    "HTML": (b"<!DOCTYPE html><html><body>Not found</body></html>", "web page"),
    "JSON message": (b'{"error": "Repository not found"}', "JSON text"),
    "GGUF": (b"GGUF\x03\x00\x00\x00" + bytes(100), "GGUF"),
    "pickle in a zip": (b"PK\x03\x04" + bytes(100), "pickle"),
    "bare pickle": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + bytes(50), "pickle"),
}


# The library takes the last of equal tensors, and space that the format's text rules out.
STRICTER = {"duplicate tensor", "leading space"}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_damaged_file_is_refused_with_file_and_reason(fault, tmp_path):
    data, reason = REFUSED[fault]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(InvalidModelError) as caught:
        read_header(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 300
    assert library_takes(data) is None or fault in STRICTER


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for length in range(len(GOOD_FILE)):
        path.write_bytes(GOOD_FILE[:length])
        with pytest.raises(InvalidModelError):
            read_header(path)
    path.write_bytes(GOOD_FILE)
    assert set(read_header(path).tensors) == {"a", "b", "empty", "scalar"}


PIECES = [b"", b"0", b"-", b"1", b" ", b"\n", b"\x00", b'"', b",", b"[", b"]", b"}", b"e1"]
PIECES += [b"null", b"true", b"1.5", b"\\u0000", b"\\ud83d", b"18446744073709551616", b"\xc3"]


def mutated(chance: random.Random) -> bytes:
    """A file that may or may not be good any more: bytes, values or structure were changed."""
    kind = chance.randrange(3)
    if kind == 0:
        data = bytearray(GOOD_FILE)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data) - 40)] = chance.randrange(256)
        return bytes(data)
    if kind == 1:
        text = bytearray(json.dumps(GOOD).encode())
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(text))
            piece = chance.choice(PIECES)
            text[place : place + chance.randint(0, 2)] = piece
        return file_bytes(bytes(text), 40)
    header = json.loads(json.dumps(GOOD))
    numbers = [
        0,
        1,
        2,
        3,
        4,
        6,
        8,
        24,
        32,
        40,
        2**31,
        2**32,
        2**63,
        2**64 - 1,
        2**64,
        -1,
        True,
        0.5,
    ]
    for _ in range(chance.randint(1, 3)):
        entry = header[chance.choice(["a", "b", "empty", "scalar"])]
        field = chance.choice(["dtype", "shape", "data_offsets"])
        if field == "dtype":
            entry[field] = chance.choice([*BITS, "f32", "F128", "", None, 3])
        else:
            entry[field] = [chance.choice(numbers) for _ in range(chance.randint(0, 3))]
    return file_bytes(header, chance.choice([0, 24, 32, 40, 40, 40, 41, 64]))


def test_what_the_library_refuses_is_refused_and_what_both_take_is_equal():
    chance = random.Random(20)
    taken = 0
    for _ in range(6000):
        data = mutated(chance)
        ours = we_take(data)
        if ours is not None:
            assert ours == library_takes(data), data
            taken += 1
    assert taken > 100  # the loop also meets files that are good


@settings(max_examples=2_000, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_nothing_is_taken_that_the_library_refuses(chance):
    for _ in range(11):  # 22,000 files in all; a fault is brought down to its smallest
        data = mutated(chance)
        ours = we_take(data)
        assert ours is None or ours == library_takes(data), data


def test_random_good_files_are_taken():
    chance = random.Random(21)
    for _ in range(300):
        header, position = {}, 0
        for index in range(chance.randint(0, 6)):
            dtype = chance.choice(list(BITS))
            shape = [chance.choice([0, 1, 2, 3, 8]) for _ in range(chance.randint(0, 3))] + [8]
            n_bytes = BITS[dtype]
            for width in shape[:-1]:
                n_bytes *= width
            header[f"t{index}é"] = tensor(dtype, shape, position, position + n_bytes)
            position += n_bytes
        names = list(header)
        chance.shuffle(names)
        text = json.dumps({name: header[name] for name in names}) + " " * chance.randint(0, 9)
        data = file_bytes(text.encode(), position)
        assert we_take(data) == library_takes(data) is not None


def test_the_header_can_be_parsed_from_the_first_bytes_alone():
    stop = header_stop(GOOD_FILE[:8], len(GOOD_FILE), Path("remote"))
    assert stop == len(GOOD_FILE) - 40
    header = parse_header(GOOD_FILE[:stop], len(GOOD_FILE), Path("remote"))
    assert header.tensors["b"].start == stop + 24
    with pytest.raises(InvalidModelError, match="cut"):
        parse_header(GOOD_FILE[: stop - 1], len(GOOD_FILE), Path("remote"))
