"""hub: only what is needed is fetched, all of it is checked, and every failure says what to do."""

import json
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import LISTING, small_model, weights
from huggingface_hub import constants

from llmcli.checkpoint import hub as hub_module
from llmcli.checkpoint.hub import NEEDED, download, list_files
from llmcli.checkpoint.hub_cache import find_snapshot
from llmcli.checkpoint.store import resolve
from llmcli.errors import InvalidModelError, ModelNotFoundError

NEEDED_OF_SMALL = ["config.json", "tokenizer.json", "model.safetensors"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class Watch:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.seen, self.finished, self.notes = [], [], []

    def start(self, model, sizes):
        self.model, self.sizes = model, dict(sizes)

    def at(self, name, n_bytes):
        self.seen.append((name, n_bytes))

    def finish(self, name):
        self.finished.append(name)

    def note(self, text):
        self.notes.append(text)


def test_only_what_is_needed_is_fetched_and_progress_is_told(hub):
    watch = Watch()
    source = resolve("org/small", progress=watch)
    files = small_model()
    assert (source.kind, source.name) == ("hub", "org/small")
    assert source.commit == hub.revisions["org/small", "main"].commit
    assert contents(source.folder) == {name: files[name] for name in NEEDED_OF_SMALL}
    assert sorted(hub.fetched()) == sorted(NEEDED_OF_SMALL)
    assert watch.model == "org/small"
    assert watch.sizes == {name: len(files[name]) for name in NEEDED_OF_SMALL}
    assert watch.finished == NEEDED_OF_SMALL
    assert set(watch.seen) >= {(name, len(files[name])) for name in NEEDED_OF_SMALL}


def test_every_file_that_may_be_needed_is_fetched(hub):
    files = dict.fromkeys(NEEDED, b"{}") | {"model.safetensors": weights()}
    hub.add("org/full", files)
    assert set(contents(resolve("org/full").folder)) == set(files)


def test_shards_come_with_their_index_and_nothing_else(hub):
    files = small_model()
    del files["model.safetensors"]
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = json.dumps({"weight_map": shards}).encode()
    files |= {
        "model.safetensors.index.json": index,
        shards["a"]: weights(1.0, "a"),
        shards["b"]: weights(1.0, "b"),
        "consolidated.safetensors": weights(),
    }
    hub.add("org/sharded", files)
    folder = resolve("org/sharded").folder
    wanted = {"config.json", "tokenizer.json", "model.safetensors.index.json", *shards.values()}
    assert set(contents(folder)) == wanted

    (folder / shards["b"]).unlink()  # no longer whole
    with pytest.raises(ModelNotFoundError, match=shards["b"]):
        resolve("org/sharded", offline=True)
    assert set(contents(resolve("org/sharded").folder)) == wanted

    del files[shards["b"]]
    hub.add("org/holed", files)
    with pytest.raises(InvalidModelError, match="lists model-00002"):
        resolve("org/holed")
    files["model.safetensors.index.json"] = b'{"weight_map": {"a": "../../evil.safetensors"}}'
    hub.add("org/evil", files)
    with pytest.raises(InvalidModelError, match="not a plain"):
        resolve("org/evil")


def test_a_model_without_safetensors_is_refused_before_anything_is_fetched(hub):
    files = small_model()
    del files["model.safetensors"]
    hub.add("org/pickled", files)
    with pytest.raises(InvalidModelError, match=r"it has pytorch_model\.bin"):
        resolve("org/pickled")
    assert hub.fetched() == []


def test_include_exclude_and_local_dir(hub, cache, tmp_path):
    listing = list_files("org/small", "main")
    target = tmp_path / "here"
    done = download(listing, local_dir=target, include=["*.json", "onnx/*"], exclude=["tok*"])
    assert [file.name for file in done.files] == ["config.json", "onnx/model.onnx"]
    assert (target / "onnx" / "model.onnx").read_bytes() == b"never fetched"
    assert not (target / "tokenizer.json").exists()
    assert find_snapshot("org/small", "main") is None
    with pytest.raises(ModelNotFoundError, match="none of its files"):
        download(listing, include=["*.gguf"])
    into_cache = download(listing, include=["onnx/*"])
    assert (into_cache.folder / "onnx" / "model.onnx").is_file()
    assert resolve("org/small").folder == into_cache.folder  # and completed


@pytest.mark.parametrize(
    ("place", "fault", "told"),
    [
        (LISTING, 401, "denies access (HTTP 401)"),
        (LISTING, "token", "the access token is not valid"),
        (LISTING, "gated", "gated"),
        (LISTING, 403, "HTTP 403"),
        (LISTING, 404, "HTTP 404"),
        (LISTING, 429, "HTTP 429"),
        (LISTING, 500, "HTTP 500"),
        (LISTING, 503, "HTTP 503"),
        (LISTING, "garbage", "unusable"),
        ("model.safetensors", "token", "the access token is not valid"),
        ("model.safetensors", "gated", "gated"),
        ("model.safetensors", 403, "HTTP 403"),
        ("model.safetensors", 404, "HTTP 404"),
        ("model.safetensors", 429, "HTTP 429"),
        ("model.safetensors", 500, "HTTP 500"),
        ("model.safetensors", "cut", "was cut"),
        ("model.safetensors", "wrong hash", "SHA-256"),
        ("model.safetensors", "wrong size", "bytes"),
        ("config.json", "wrong size", "bytes"),
        ("model.safetensors", "too long", "bytes"),
    ],
)
def test_a_failing_hub_is_named_and_nothing_half_stays(place, fault, told, hub, cache):
    hub.faults[place] = fault
    with pytest.raises(ModelNotFoundError) as caught:
        resolve("org/small")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert find_snapshot("org/small", "main") is None
    good = set(small_model().values())
    for path in everything_in(cache / "models--org--small" / "blobs"):
        assert path.read_bytes() in good
    hub.faults.clear()
    assert contents(resolve("org/small").folder)["model.safetensors"] == weights()


def test_an_unknown_model_gets_a_hint(hub):
    with pytest.raises(ModelNotFoundError, match="there is no model org/other") as caught:
        resolve("org/other")
    assert "spelling" in caught.value.hint
    assert "HF_TOKEN" in caught.value.hint


def test_a_connection_cut_once_is_tried_again_and_told(hub):
    hub.faults["model.safetensors"] = "cut once"
    watch = Watch()
    folder = resolve("org/small", progress=watch).folder
    assert contents(folder)["model.safetensors"] == weights()
    assert hub.fetched().count("model.safetensors") == 2
    assert len(watch.notes) == 1


def test_a_wait_that_the_hub_asks_for_is_told(hub):
    hub.faults["model.safetensors"] = 429
    watch = Watch()
    with pytest.raises(ModelNotFoundError):
        resolve("org/small", progress=watch)
    assert any(note.startswith("Retrying") for note in watch.notes)


def test_a_damaged_file_in_the_cache_is_fetched_anew_by_a_download(hub):
    folder = resolve("org/small").folder
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(weights()[:-1] + b"?")
    download(list_files("org/small", "main"))
    assert (folder / "model.safetensors").read_bytes() == weights()


def test_names_that_leave_the_folder_are_never_fetched(hub, tmp_path):
    evil = {"../../evil.json": b"{}", "/tmp/evil.json": b"{}", "a\\b.json": b"{}"}
    hub.add("org/evil", small_model() | evil)
    listing = list_files("org/evil", "main")
    assert set(listing.files) == set(small_model())


@pytest.mark.parametrize("change", [{"sha": "../../x"}, {"sha": None}])
def test_an_odd_commit_is_refused(change, hub):
    hub.revisions["org/small", "main"].commit = change["sha"]
    with pytest.raises(ModelNotFoundError, match="commit"):
        resolve("org/small")


def test_room_on_the_disk_is_checked_first(hub, monkeypatch):
    usage = SimpleNamespace(free=40)
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ModelNotFoundError, match="GiB free"):
        resolve("org/small")
    assert hub.fetched() == []


def test_a_cache_that_cannot_be_written_is_named(hub, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(ModelNotFoundError, match="cannot be written") as caught:
        resolve("org/small")
    assert "HF_HOME" in caught.value.hint


def test_a_server_that_is_not_there_is_named(cache, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelNotFoundError, match="cannot be reached"):
        resolve("org/small")


def test_a_server_that_does_not_answer_is_not_waited_for_long(hub, monkeypatch):
    hub.faults[LISTING] = "hang"
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
    with pytest.raises(ModelNotFoundError, match="did not answer in time"):
        resolve("org/small")


def test_a_wait_inside_name_resolution_ends_too(hub, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60))
    with pytest.raises(ModelNotFoundError, match="did not answer in time"):
        list_files("org/small", "main", within=0.2)
    over.set()


@pytest.mark.parametrize(
    "answer",
    [b"[]", b"{}", b'{"sha": 3, "siblings": []}', b'{"siblings": [{"rfilename": 3}]}', b"\xff"],
)
def test_an_odd_listing_is_named(hub, answer, monkeypatch):
    monkeypatch.setattr(hub_module, "read_whole", lambda *_, **__: answer)
    with pytest.raises(ModelNotFoundError, match="unusable"):
        list_files("org/small", "main")


def test_an_endless_listing_is_not_read_on(hub, monkeypatch):
    monkeypatch.setattr(hub_module, "MAX_LISTING_BYTES", 100)
    with pytest.raises(ModelNotFoundError, match="longer than 100 bytes"):
        list_files("org/small", "main")
