"""Files of a model folder: read whole, or refused with the file and the reason, at once."""

import os
import socket
from pathlib import Path

import pytest

from llmcli.checkpoint.json_file import (
    MAX_DEPTH,
    json_type,
    read_json_object,
    read_optional_bytes,
    read_optional_json_object,
    read_optional_text,
)
from llmcli.errors import InvalidModelError


def test_an_object_is_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": [1, 2.5, true, null, "\\u00e9é"], "b": {"c": -3}}', encoding="utf-8")
    assert read_json_object(path) == {"a": [1, 2.5, True, None, "éé"], "b": {"c": -3}}


def test_of_equal_keys_the_last_counts(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": 1, "a": 2}')
    assert read_json_object(path) == {"a": 2}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b'{"a": 1} x', "not valid JSON"),
        (b"[1]", "must be an object, not an array"),
        (b"null", "must be an object, not null"),
        (b"true", "must be an object, not a boolean"),
        (b"12", "must be an object, not a number"),
        (b'"x"', "must be an object, not a string"),
        (b'{"a": NaN}', "NaN is not allowed"),
        (b'{"a": -Infinity}', "-Infinity is not allowed"),
        (b'{"a": 1e999}', "1e999 is not allowed"),
        (b'{"a": ' + b"9" * 6000 + b"}", "not valid JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested"),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "nested more than 64"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "not valid JSON"),
    ],
)
def test_what_is_not_an_object_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError) as caught:
        read_json_object(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_nesting_up_to_the_limit_is_read(tmp_path):
    path = tmp_path / "config.json"
    depth = MAX_DEPTH - 1
    path.write_text('{"a":' + "[" * depth + "]" * depth + "}")
    assert list(read_json_object(path)) == ["a"]


def test_a_file_over_its_limit_is_refused(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": "' + "x" * 100 + '"}')
    with pytest.raises(InvalidModelError, match="larger than 50 bytes"):
        read_json_object(path, limit_bytes=50)


def test_a_missing_file_is_none_or_an_error(tmp_path):
    path = tmp_path / "config.json"
    assert read_optional_json_object(path) is None
    assert read_optional_text(path) is None
    assert read_optional_bytes(path, limit_bytes=9) is None
    with pytest.raises(InvalidModelError, match="there is no such file"):
        read_json_object(path)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(InvalidModelError, match="not a regular file"):
        read_json_object(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_fifo_is_refused_without_waiting(tmp_path):
    path = tmp_path / "config.json"
    os.mkfifo(path)
    with pytest.raises(InvalidModelError, match="not a regular file"):
        read_json_object(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_is_refused():
    with pytest.raises(InvalidModelError, match="not a regular file"):
        read_json_object(Path("/dev/zero"))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets on this system")
def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(InvalidModelError, match="not a regular file"):
            read_json_object(Path("s"))


def test_symbolic_links(tmp_path):
    (tmp_path / "blob").write_text('{"a": 1}')
    link = tmp_path / "config.json"
    link.symlink_to("blob")
    assert read_json_object(link) == {"a": 1}
    loop = tmp_path / "loop.json"
    loop.symlink_to("loop.json")
    with pytest.raises(InvalidModelError, match="cannot be read"):
        read_optional_json_object(loop)
    (tmp_path / "blob").unlink()
    with pytest.raises(InvalidModelError, match="file that is gone"):
        read_optional_json_object(link)


def test_a_name_with_nul_is_refused(tmp_path):
    with pytest.raises(InvalidModelError, match="cannot be read"):
        read_json_object(tmp_path / "a\0b")


def test_no_descriptor_is_left_open(tmp_path):
    fds = Path("/proc/self/fd")
    if not fds.exists():
        pytest.skip("no /proc")
    before = len(list(fds.iterdir()))
    for _ in range(5):
        with pytest.raises(InvalidModelError):
            read_json_object(tmp_path)
    assert len(list(fds.iterdir())) == before


@pytest.mark.parametrize(
    ("value", "name"), [(True, "a boolean"), (1, "a number"), (None, "null"), ([], "an array")]
)
def test_json_types_have_names(value, name):
    assert json_type(value) == name
