"""store: what MODEL may be, and how the hub's cache is used, filled and never spoiled."""

import json
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from hub_server import LISTING, Hub, small_model, weights
from huggingface_hub import constants

from llmcli.checkpoint import hub as hub_module
from llmcli.checkpoint import store
from llmcli.checkpoint.cached_models import cached_models
from llmcli.checkpoint.hub import NEEDED, download, list_files
from llmcli.checkpoint.hub_cache import find_snapshot
from llmcli.checkpoint.store import DEFAULT_MODEL, parse_hub_name, resolve
from llmcli.errors import InvalidModelError, LlmcliError, ModelNotFoundError, UsageError

NEEDED_OF_SMALL = ["config.json", "tokenizer.json", "model.safetensors"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, and no MODEL set."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 5)
    monkeypatch.delenv("LLMCLI_MODEL", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def hub(cache, monkeypatch):
    """A hub with one small model, org/small, in which nothing waits between attempts."""
    with Hub() as server:
        server.add("org/small", small_model())
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        nap = SimpleNamespace(sleep=lambda seconds: None)
        monkeypatch.setattr("huggingface_hub.file_download.time", nap)
        monkeypatch.setattr("huggingface_hub.utils._http.time", nap)
        yield server
        huggingface_hub.close_session()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# What MODEL may be


def test_demo_is_the_bundled_folder(cache):
    source = resolve("demo")
    assert (source.kind, source.name, source.commit) == ("demo", "demo", None)
    assert source.folder == Path(store.__file__).parents[1] / "demo"


def test_a_folder_is_itself_even_where_it_looks_like_a_hub_name(cache, tmp_path, monkeypatch):
    (tmp_path / "org" / "small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    source = resolve("org/small")
    assert (source.kind, source.folder) == ("folder", Path("org/small"))
    assert resolve(str(tmp_path)).folder == tmp_path


def test_a_home_folder_is_expanded(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert resolve("~/model").folder == tmp_path / "model"


def test_one_safetensors_file_is_a_source(cache, tmp_path):
    path = tmp_path / "part.safetensors"
    path.write_bytes(weights())
    source = resolve(str(path))
    assert (source.kind, source.name, source.folder) == ("file", str(path), tmp_path)


def test_any_other_file_is_refused(cache, tmp_path):
    (tmp_path / "model.gguf").touch()
    with pytest.raises(InvalidModelError, match=r"model\.gguf: neither a folder"):
        resolve(str(tmp_path / "model.gguf"))


@pytest.mark.parametrize("name", ["./x", "/no/such", "a/b/c", "~nobody-here/x", "..", "a\\b"])
def test_a_path_that_is_not_there_is_called_a_folder(name, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name == "..":
        assert resolve(name).kind == "folder"
        return
    with pytest.raises(ModelNotFoundError, match="no such folder"):
        resolve(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dmeo", "did you mean demo?"),
        ("smollm2-135m-instruct", f"did you mean {DEFAULT_MODEL}?"),
        ("smal", "did you mean org/small?"),
        ("gpt2", "org/name on the hub"),
        ("org/na me", "org/name on the hub"),
        ("org/", "org/name on the hub"),
        ("org/a..b", "org/name on the hub"),
        ("nul\0", "org/name on the hub"),
        ("x" * 5000, "org/name on the hub"),
    ],
)
def test_a_typo_gets_a_hint(name, hint, hub):
    resolve("org/small")
    with pytest.raises(ModelNotFoundError) as caught:
        resolve(name)
    assert hint in caught.value.hint


def test_revision_belongs_to_the_hub_and_is_given_once(cache, tmp_path):
    assert parse_hub_name("org/name") == ("org/name", "main")
    assert parse_hub_name("org/name@v1.0") == ("org/name", "v1.0")
    assert parse_hub_name("org/name", "refs/pr/1") == ("org/name", "refs/pr/1")
    for name, revision in [
        ("org/name@a", "b"),
        ("org/name@../../x", None),
        ("org/name", "/etc"),
        (str(tmp_path), "main"),
        ("demo", "main"),
        (None, "main"),
    ]:
        with pytest.raises(UsageError):
            resolve(name, revision=revision)


def test_without_model_the_variable_counts(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMCLI_MODEL", str(tmp_path))
    assert resolve(None).folder == tmp_path


# Downloads


class Watch:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.sizes, self.seen, self.finished, self.notes = {}, [], [], []

    def start(self, sizes):
        self.sizes = dict(sizes)

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
    assert watch.sizes == {name: len(files[name]) for name in NEEDED_OF_SMALL}
    assert watch.finished == NEEDED_OF_SMALL
    assert set(watch.seen) >= {(name, len(files[name])) for name in NEEDED_OF_SMALL}


def test_every_file_that_may_be_needed_is_fetched(hub):
    files = dict.fromkeys(NEEDED, b"{}") | {"model.safetensors": weights()}
    hub.add("org/full", files)
    assert set(contents(resolve("org/full").folder)) == set(files)


def test_a_whole_model_in_the_cache_needs_no_network(hub):
    first = resolve("org/small")
    hub.requests.clear()
    hub.faults[LISTING] = 500
    assert resolve("org/small") == first
    assert resolve("org/small", offline=True) == first
    assert hub.requests == []


def test_a_revision_is_a_model_of_its_own(hub):
    old = hub.add("org/small", small_model(2.0), revision="v1")
    assert resolve("org/small@v1").commit == old
    assert resolve("org/small", revision=old).commit == old
    assert resolve("org/small").commit != old
    with pytest.raises(ModelNotFoundError, match="no revision v9"):
        resolve("org/small@v9")


def test_a_download_follows_the_branch_and_resolve_stays(hub):
    first = resolve("org/small")
    new = hub.add("org/small", small_model(3.0))
    assert resolve("org/small") == first
    assert download(list_files("org/small", "main")).commit == new
    assert resolve("org/small").commit == new


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


# Offline, and no MODEL at all


def test_offline_without_the_model_says_what_to_do(hub, monkeypatch):
    with pytest.raises(ModelNotFoundError, match="offline") as caught:
        resolve("org/small", offline=True)
    assert "llmcli download org/small" in caught.value.hint
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFoundError, match="offline"):
        resolve("org/small")
    assert hub.requests == []


def test_offline_a_model_without_tokenizer_is_still_found(hub):
    folder = resolve("org/small").folder
    (folder / "tokenizer.json").unlink()
    assert resolve("org/small", offline=True).folder == folder
    (folder / "config.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"lacks config\.json"):
        resolve("org/small", offline=True)


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
    import threading

    class Stuck:
        def model_info(self, *_, **__):
            threading.Event().wait(60)

    monkeypatch.setattr(huggingface_hub, "HfApi", Stuck)
    with pytest.raises(ModelNotFoundError, match="did not answer in time"):
        list_files("org/small", "main", within=0.2)


def test_the_default_model_is_downloaded_then_used(hub):
    notices = []
    commit = hub.add(DEFAULT_MODEL, small_model())
    source = resolve(None, notice=notices.append)
    assert (source.kind, source.name, source.commit) == ("hub", DEFAULT_MODEL, commit)
    hub.faults[LISTING] = 500
    assert resolve(None, notice=notices.append) == source
    assert resolve(None, offline=True, notice=notices.append) == source
    assert notices == []


@pytest.mark.parametrize("fault", [500, 404, "hang", "offline", "cut", "garbage"])
def test_without_the_default_model_the_demo_is_used_and_said_so(fault, hub, monkeypatch):
    monkeypatch.setattr(store, "DEFAULT_MODEL_SECONDS", 0.5)
    hub.add(DEFAULT_MODEL, small_model())
    hub.faults["model.safetensors" if fault == "cut" else LISTING] = fault
    notices = []
    source = resolve(None, offline=fault == "offline", notice=notices.append)
    assert source.kind == "demo"
    assert len(notices) == 1
    assert "demo" in notices[0]
    assert f"llmcli download {DEFAULT_MODEL}" in notices[0]
    assert "\n" not in notices[0]


# What is on the disk


def test_cached_models_lists_the_demo_first_and_each_snapshot(hub, cache):
    assert [model.name for model in cached_models()] == ["demo"]
    resolve("org/small")
    tagged = hub.add("org/small", small_model(2.0), revision="v1")
    resolve("org/small@v1")
    bare = hub.add("org/small", small_model(4.0), revision="gone")
    resolve(f"org/small@{bare}")
    models = {model.revision: model for model in cached_models() if model.name != "demo"}
    assert set(models) == {"main", "v1", bare}
    found = models["v1"]
    files = small_model(2.0)
    assert (found.commit, found.family, found.parameters) == (tagged, "llama", 6)
    assert found.size_bytes == sum(len(files[name]) for name in NEEDED_OF_SMALL)
    assert found.problem is None
    assert found.folder == str(resolve("org/small@v1").folder)


def test_a_damaged_or_incomplete_model_is_listed_with_its_problem(hub, cache):
    damage = {
        "cut": lambda folder: (folder / "model.safetensors").resolve().write_bytes(b"\x10"),
        "no-config": lambda folder: (folder / "config.json").unlink(),
        "bad-config": lambda folder: (folder / "config.json").resolve().write_bytes(b"["),
        "no-weights": lambda folder: (folder / "model.safetensors").unlink(),
        "lost-blob": lambda folder: (folder / "model.safetensors").resolve().unlink(),
        "no-tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    }
    for name, spoil in damage.items():
        # Each of its own, for equal files of one repository share a blob.
        hub.add(f"org/{name}", small_model())
        spoil(resolve(f"org/{name}").folder)
    (cache / "models--org--empty").mkdir()
    (cache / "datasets--org--data" / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (cache / "models--org--small").write_text("not a folder")
    problems = {model.name: model.problem for model in cached_models() if model.name != "demo"}
    assert set(problems) == {f"org/{name}" for name in damage}
    assert "model.safetensors: only 1 bytes" in problems["org/cut"]
    assert "config.json" in problems["org/no-config"]
    assert "not valid JSON" in problems["org/bad-config"]
    assert "model.safetensors" in problems["org/no-weights"]
    assert "symbolic link" in problems["org/lost-blob"]
    assert problems["org/no-tokenizer"] == "tokenizer.json is missing"


def test_parameters_leave_buffers_out_and_packed_weights_unknown(hub):
    files = small_model() | {"model.safetensors": weights(1.0, "h.0.attn.masked_bias")}
    hub.add("org/buffers", files)
    packed = {"config.json": b'{"model_type": "llama", "quantization_config": {"bits": 4}}'}
    hub.add("org/packed", small_model() | packed)
    resolve("org/buffers")
    resolve("org/packed")
    parameters = {model.name: model.parameters for model in cached_models()}
    assert parameters["org/buffers"] == 0
    assert parameters["org/packed"] is None


def test_all_errors_are_told_in_one_line_with_exit_code_3(hub):
    hub.faults[LISTING] = 500
    with pytest.raises(LlmcliError) as caught:
        resolve("org/small")
    assert caught.value.exit_code == 3
