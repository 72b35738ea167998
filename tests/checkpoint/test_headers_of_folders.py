"""headers of whole folders: one file or shards, and nothing that is no regular file."""

import json
import os
import socket
import struct
from pathlib import Path

import pytest

from llmcli.checkpoint.headers import read_folder, read_header, read_index
from llmcli.errors import InvalidModelError


def file_bytes(header: object, n_data: int = 0) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(n_data)


def tensor(dtype: str, shape: list, start: int, stop: int) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


GOOD_FILE = file_bytes({"a": tensor("F32", [2, 3], 0, 24), "b": tensor("I64", [], 24, 32)}, 32)


def test_shards_hold_what_the_one_file_holds(shared_data):
    whole = read_folder(shared_data / "stories260K")
    shards = read_folder(shared_data / "stories260K-sharded")
    assert len(whole) == 47
    assert sum(each.n_values for each in whole.values()) == 260_032
    assert {n: (t.dtype, t.shape) for n, t in whole.items()} == {
        n: (t.dtype, t.shape) for n, t in shards.items()
    }
    assert len({each.file for each in shards.values()}) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize("kind", ["FIFO", "folder", "device", "socket", "loop", "dangling"])
def test_what_is_no_regular_file_is_refused_without_waiting(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    path = Path("model.safetensors")
    server = socket.socket(socket.AF_UNIX)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        server.bind(str(path))
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.symlink_to("gone")
    with server, pytest.raises(InvalidModelError, match=r"^model\.safetensors: "):
        read_header(path)
    with pytest.raises(InvalidModelError):
        read_folder(Path())


def test_a_symbolic_link_to_a_regular_file_is_followed(tmp_path):
    (tmp_path / "blob").write_bytes(GOOD_FILE)
    (tmp_path / "model.safetensors").symlink_to("blob")
    assert set(read_folder(tmp_path)) == {"a", "b"}
    assert read_folder(tmp_path)["a"].file == "model.safetensors"


def write_shards(folder: Path, weight_map: object, **files: bytes) -> None:
    for name, data in files.items():
        (folder / f"{name}.safetensors").write_bytes(data)
    index = {"metadata": {"total_size": 2}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


ONE = file_bytes({"a": tensor("U8", [1], 0, 1)}, 1)
TWO = file_bytes({"b": tensor("U8", [1], 0, 1)}, 1)
BOTH = file_bytes({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 1, 2)}, 2)


def test_shards_are_joined(tmp_path):
    write_shards(tmp_path, {"a": "x.safetensors", "b": "y.safetensors"}, x=ONE, y=TWO)
    assert {name: each.file for name, each in read_folder(tmp_path).items()} == {
        "a": "x.safetensors",
        "b": "y.safetensors",
    }


@pytest.mark.parametrize(
    "shard",
    [
        "../x.safetensors",
        "/etc/x.safetensors",
        "a/x.safetensors",
        "a\\x.safetensors",
        "C:x.safetensors",
        "x\0.safetensors",
        "x.safetensors\n",
        "x.bin",
        ".safetensors",
        "..safetensors",
        "",
        "x" * 300 + ".safetensors",
        None,
        7,
        ["x.safetensors"],
    ],
)
def test_a_shard_name_that_is_no_plain_file_name_is_refused(shard, tmp_path):
    write_shards(tmp_path, {"a": shard}, x=ONE)
    with pytest.raises(InvalidModelError, match=r"index\.json: "):
        read_folder(tmp_path)


@pytest.mark.parametrize("weight_map", [None, [], {}, "x"])
def test_an_index_without_a_map_is_refused(weight_map, tmp_path):
    write_shards(tmp_path, weight_map)
    with pytest.raises(InvalidModelError, match="weight_map"):
        read_index(tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize(
    ("weight_map", "files", "reason"),
    [
        ({"a": "x.safetensors", "b": "z.safetensors"}, {"x": ONE}, r"z\.safetensors.* missing"),
        ({"a": "x.safetensors", "b": "x.safetensors"}, {"x": ONE}, "tensor b is missing"),
        ({"a": "x.safetensors"}, {"x": BOTH}, "does not list it"),
        (
            {"a": "x.safetensors", "b": "y.safetensors"},
            {"x": BOTH, "y": TWO},
            r"places it in y\.safetensors",
        ),
        ({"a": "x.safetensors"}, {"x": b"GGUF" + bytes(30)}, r"x\.safetensors: a GGUF"),
    ],
)
def test_shards_and_index_must_agree(weight_map, files, reason, tmp_path):
    write_shards(tmp_path, weight_map, **files)
    with pytest.raises(InvalidModelError, match=reason):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("present", "told"),
    [
        (None, "neither model.safetensors nor model.safetensors.index.json"),
        ("pytorch_model.bin", "pytorch_model.bin, a format that llmcli does not read"),
        ("tiny.Q4_0.gguf", "tiny.Q4_0.gguf, a format that llmcli does not read"),
        ("adapter.safetensors", "it has adapter.safetensors"),
    ],
)
def test_a_folder_without_weights_says_what_was_looked_for(present, told, tmp_path):
    if present is not None:
        (tmp_path / present).touch()
    with pytest.raises(InvalidModelError) as caught:
        read_folder(tmp_path)
    assert told in str(caught.value)
