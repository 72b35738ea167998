"""remote: the headers of a model on the hub, few requests, no trust in the server."""

import json
import threading
import time
from pathlib import Path

import pytest
from hub_server import LISTING, Hub, small_model
from huggingface_hub import constants
from shapes import SMALL, write_shape

from llmcli.checkpoint import hub_http, remote
from llmcli.checkpoint.headers import read_folder
from llmcli.checkpoint.remote import AT_ONCE, FIRST_BYTES
from llmcli.checkpoint.store import DEFAULT_MODEL, RemoteModel, Source, find_headers, resolve
from llmcli.errors import InvalidModelError, ModelNotFoundError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# Its header is longer than what is asked for first.
DEEP = {**SMALL, "num_hidden_layers": 120}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def model(hub, tmp_path):
    """A model of one file, and one of twenty shards, on the hub."""
    hub.add("org/one", files_of(write_shape(tmp_path / "one", SMALL)))
    hub.add("org/many", files_of(write_shape(tmp_path / "many", DEEP, n_shards=20)))
    hub.add("org/deep", files_of(write_shape(tmp_path / "deep", DEEP)))
    return hub


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(hub_http, "_PAUSE_SECONDS", 0)


def read(name: str) -> RemoteModel:
    found = find_headers(name)
    assert isinstance(found, RemoteModel)
    return found


def test_one_file_takes_three_requests_and_leaves_nothing_behind(model, cache, tmp_path):
    found = read("org/one")
    assert found.headers == read_folder(tmp_path / "one")
    assert found.config == SMALL
    assert found.commit == model.revisions["org/one", "main"].commit
    assert (found.kind, found.name, found.requests) == ("hub", "org/one", 3)
    assert [method for method, *_ in model.requests] == ["GET"] * 3
    assert sorted(model.fetched()) == ["config.json", WEIGHTS]
    assert not cache.exists()


def test_shards_take_one_request_each(model, tmp_path):
    found = read("org/many")
    assert found.headers == read_folder(tmp_path / "many")
    assert found.requests == len(model.requests) == 1 + 2 + 20
    ranges = {path.rpartition("/")[2]: asked for _, path, asked in model.requests}
    size = (tmp_path / "many" / "model-00003-of-00020.safetensors").stat().st_size
    assert ranges["model-00003-of-00020.safetensors"] == f"bytes=0-{min(size, FIRST_BYTES) - 1}"


def test_a_longer_header_takes_a_second_request_for_the_rest_alone(model, tmp_path):
    found = read("org/deep")
    assert found.headers == read_folder(tmp_path / "deep")
    text = (tmp_path / "deep" / WEIGHTS).read_bytes()
    stop = 8 + int.from_bytes(text[:8], "little")
    assert stop > FIRST_BYTES
    asked = [where for _, path, where in model.requests if path.endswith(WEIGHTS)]
    assert asked == [f"bytes=0-{FIRST_BYTES - 1}", f"bytes={FIRST_BYTES}-{stop - 1}"]
    assert found.requests == 4
    assert found.bytes_read < stop + 2000


def test_what_was_read_is_what_was_sent(model):
    model.sent = 0
    found = read("org/many")
    assert found.bytes_read == model.sent


def test_no_more_than_a_few_requests_run_at_once(model, monkeypatch):
    running, most, lock = 0, 0, threading.Lock()
    real = remote.read_range

    def slow(*arguments):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        try:
            return real(*arguments)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(remote, "read_range", slow)
    read("org/many")
    assert 2 <= most <= AT_ONCE


def test_what_is_in_the_cache_takes_no_network(model):
    resolve("org/one@main")
    model.requests.clear()
    model.faults[LISTING] = 500
    found = find_headers("org/one")
    assert isinstance(found, Source)
    (found.folder / "config.json").unlink()
    with pytest.raises(ModelNotFoundError, match="HTTP 500"):
        find_headers("org/one")
    with pytest.raises(ModelNotFoundError, match=r"lacks config\.json in the cache"):
        find_headers("org/one", offline=True)


def test_without_a_name_the_default_models_headers_are_read_else_the_demos(hub, tmp_path):
    hub.add(DEFAULT_MODEL, files_of(write_shape(tmp_path / "default", SMALL)))
    found = find_headers(None)
    assert isinstance(found, RemoteModel)
    assert found.name == DEFAULT_MODEL
    hub.faults[LISTING] = 404
    notices: list[str] = []
    assert find_headers(None, notice=notices.append).kind == "demo"
    assert len(notices) == 1


def test_revisions_and_their_commits(model, tmp_path):
    changed = {**SMALL, "rope_theta": 5.0}
    commit = model.add("org/one", files_of(write_shape(tmp_path / "v2", changed)), revision="v2")
    assert read("org/one@v2").commit == commit
    assert read(f"org/one@{commit}").config == changed
    with pytest.raises(ModelNotFoundError, match="no revision v9"):
        find_headers("org/one@v9")


@pytest.mark.parametrize("place", [LISTING, "config.json", WEIGHTS])
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (401, "denies access (HTTP 401)"),
        ("token", "the access token is not valid"),
        ("gated", "org/one is gated"),
        (403, "HTTP 403"),
        (404, "HTTP 404"),
        (429, "too many requests"),
        (500, "HTTP 500"),
        (503, "HTTP 503"),
    ],
)
def test_a_refusal_is_explained(model, place, fault, told):
    model.faults[place] = fault
    with pytest.raises(ModelNotFoundError) as caught:
        find_headers("org/one")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    if fault in ("gated", 401, 403, 429):
        assert "HF_TOKEN" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("garbage", "29 bytes in place of a file"),
        ("wrong range", "bytes from 1 on, not from 0"),
        ("wrong total", "that was listed with"),
        ("wrong size", "that was listed with"),
        ("cut", "was cut"),
        ("short", "was cut"),
        ("encoded", "encoding"),
        ("hang", "in time"),
        ("hang body", "in time"),
        ("drip", "in time"),
    ],
)
def test_a_wrong_answer_is_named_and_ends(model, fault, told, monkeypatch):
    monkeypatch.setattr(hub_http, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(hub_http, "ANSWER_SECONDS", 0.6)
    model.faults[WEIGHTS] = fault
    begin = time.monotonic()
    with pytest.raises((ModelNotFoundError, InvalidModelError), match=told):
        find_headers("org/one")
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("fault", ["no ranges", "too long"])
def test_of_an_answer_with_all_of_a_file_only_the_header_is_read(hub, tmp_path, fault):
    files = files_of(write_shape(tmp_path / "wide", {**DEEP, "vocab_size": 200_000}))
    assert len(files[WEIGHTS]) > 12_000_000
    hub.add("org/wide", files)
    hub.faults[WEIGHTS] = fault
    if fault == "too long":  # without end, and nothing but zeros
        with pytest.raises(InvalidModelError, match="header length is 0"):
            find_headers("org/wide")
        return
    found = read("org/wide")
    assert found.headers == read_folder(tmp_path / "wide")
    assert found.bytes_read < 1_000_000
    assert hub.sent < 8_000_000  # what a closed connection's buffers may hold included


@pytest.mark.parametrize("fault", ["cut once", "no ranges"])
def test_a_cut_is_tried_again_from_where_it_was(model, tmp_path, fault):
    model.faults[WEIGHTS] = fault
    assert read("org/deep").headers == read_folder(tmp_path / "deep")
    if fault == "cut once":
        asked = [where for _, path, where in model.requests if path.endswith(WEIGHTS)]
        assert asked[:2] == [f"bytes=0-{FIRST_BYTES - 1}", f"bytes={FIRST_BYTES // 2}-99999"]


def test_a_redirection_counts_and_keeps_the_token_to_itself(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Hub() as other:
        other.add("org/one", files_of(tmp_path / "one"))
        model.elsewhere = other.url
        model.faults[WEIGHTS] = "moved"
        assert read("org/one").requests == 4
        assert set(model.tokens) == {"Bearer hf_secret"}
        assert other.tokens == [None]


def test_files_in_other_formats_are_named(hub):
    for name, file in (("org/bin", "pytorch_model.bin"), ("org/gguf", "tiny.Q4_0.gguf")):
        files = small_model()
        hub.add(name, {"config.json": files["config.json"], file: b"\x80\x02"})
        with pytest.raises(InvalidModelError, match=f"it has {file}") as caught:
            find_headers(name)
        assert "safetensors" in (caught.value.hint or "")
    assert hub.fetched() == []


def test_a_model_without_config_is_refused(hub):
    hub.add("org/bare", {WEIGHTS: small_model()[WEIGHTS]})
    with pytest.raises(InvalidModelError, match=r"org/bare/config\.json: there is no such file"):
        find_headers("org/bare")


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("config.json", b"{", r"org/bad/config\.json: not valid JSON"),
        ("config.json", b"[]", "must be an object"),
        ("config.json", b"\xff", "not UTF-8"),
        (WEIGHTS, b"", "the file is empty"),
        (WEIGHTS, b"\x01", "only 1 bytes long"),
        (WEIGHTS, b"GGUF" + bytes(99), "a GGUF file"),
        (WEIGHTS, b"\xff" * 99, "header would be"),
        (WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (WEIGHTS, (99_999_999).to_bytes(8, "little") + bytes(200_000), "the file is cut"),
    ],
)
def test_damaged_files_are_named_as_those_of_a_folder(hub, name, data, told):
    hub.add("org/bad", small_model() | {name: data})
    with pytest.raises(InvalidModelError, match=told):
        find_headers("org/bad")


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ({"weight_map": {"a": "../../x.safetensors"}}, "not a plain"),
        ({"weight_map": {"a": "gone.safetensors"}}, r"lists gone\.safetensors"),
        ({"weight_map": {}}, "weight_map must be"),
        ({"weight_map": {"a": WEIGHTS.replace(".", "-1.")}}, "holds tensor"),
    ],
)
def test_an_index_that_lies_is_refused(hub, index, told):
    files = small_model()
    files[WEIGHTS.replace(".", "-1.")] = files.pop(WEIGHTS)
    hub.add("org/sharded", files | {INDEX: json.dumps(index).encode()})
    with pytest.raises(InvalidModelError, match=told):
        find_headers("org/sharded")


def test_headers_are_not_read_without_limit(model, monkeypatch):
    monkeypatch.setattr(remote, "MAX_TOTAL_BYTES", 30_000)
    with pytest.raises(InvalidModelError, match="longer than 30,000 bytes"):
        find_headers("org/many")
    monkeypatch.setattr(remote, "MAX_CONFIG_BYTES", 20)
    with pytest.raises(InvalidModelError, match=r"config\.json: larger than 20 bytes"):
        find_headers("org/one")


def test_a_wait_that_no_time_limit_reaches_ends_too(model, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(remote, "STALL_SECONDS", 0.1)
    monkeypatch.setattr(remote, "read_range", lambda *_: over.wait(60))
    with pytest.raises(ModelNotFoundError, match="did not answer in time"):
        find_headers("org/one")
    over.set()


def test_offline_nothing_is_asked(model, monkeypatch):
    with pytest.raises(ModelNotFoundError, match="offline"):
        find_headers("org/one", offline=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFoundError, match="offline"):
        find_headers("org/one")
    assert model.requests == []
