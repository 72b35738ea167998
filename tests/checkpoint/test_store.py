"""store: what MODEL may be, and when the hub is asked at all."""

from pathlib import Path

import pytest
from hub_server import LISTING, small_model, weights
from huggingface_hub import constants

from llmcli.checkpoint import store
from llmcli.checkpoint.hub import download, list_files
from llmcli.checkpoint.store import DEFAULT_MODEL, parse_hub_name, resolve
from llmcli.errors import InvalidModelError, ModelNotFoundError, UsageError


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
