"""llmcli models, as a process of its own on a cache made by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import small_model

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "hf" / "hub"


@pytest.fixture
def llmcli(tmp_path):
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": "http://127.0.0.1:9",  # the network is not needed
    }

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "llmcli", *arguments],
            env=environment | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def put(cache: Path, name: str, revision: str | None = "main", **changed: bytes | None) -> Path:
    """A model in the cache, laid out as the hub's tools do."""
    root = cache / f"models--{name.replace('/', '--')}"
    folder = root / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (root / "blobs").mkdir()
    files = {name: small_model()[name] for name in ("config.json", "model.safetensors")}
    files["tokenizer.json"] = b"{}"
    for index, (file, data) in enumerate((files | changed).items()):
        if data is not None:
            (root / "blobs" / str(index)).write_bytes(data)
            (folder / file).symlink_to(f"../../blobs/{index}")
    if revision is not None:
        (root / "refs").mkdir()
        (root / "refs" / revision).write_text(COMMIT)
    return folder


def test_without_a_cache_only_the_demo_is_listed(llmcli):
    done = llmcli("models")
    assert done.returncode == 0, done.stderr
    header, demo, *_ = done.stdout.splitlines()
    assert header.split() == ["model", "revision", "size", "family", "parameters", "folder"]
    assert demo.split()[:2] == ["demo", "bundled"]


def test_cached_models_have_size_family_parameters_and_folder(llmcli, cache):
    folder = put(cache, "org/small")
    put(cache, "org/bare", revision=None)
    done = llmcli("models")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    assert lines["org/small"] == ["main", "146", "B", "llama", "6", str(folder)]
    assert lines["org/bare"][0] == COMMIT[:12]


def test_json(llmcli, cache):
    folder = put(cache, "org/small")
    report = json.loads(llmcli("models", "--json").stdout)
    assert report["schema"] == "models/1"
    assert report["cache"] == str(cache)
    assert [model["name"] for model in report["models"]] == ["demo", "org/small"]
    assert report["models"][1] == {
        "name": "org/small",
        "revision": "main",
        "commit": COMMIT,
        "size_bytes": 146,
        "family": "llama",
        "parameters": 6,
        "folder": str(folder),
        "problem": None,
    }
    assert report["total_bytes"] == sum(model["size_bytes"] for model in report["models"])


def test_damaged_models_are_listed_and_nothing_crashes(llmcli, cache):
    put(cache, "org/cut", **{"model.safetensors": b"\x01"})
    put(cache, "org/evil", **{"config.json": b'{"model_type": "\\u001b[2J\\u202e"}'})
    put(cache, "org/gone", **{"tokenizer.json": None})
    done = llmcli("models")
    assert done.returncode == 0, done.stderr
    assert "org/cut: model.safetensors: only 1 bytes long" in done.stdout
    assert "org/gone: tokenizer.json is missing" in done.stdout
    assert "\\x1b[2J\\u202e" in done.stdout
    assert "\x1b" not in done.stdout


def test_torch_is_not_imported(llmcli, cache, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    put(cache, "org/small")
    paths = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = llmcli("models", PYTHONPATH=paths)
    assert done.returncode == 0, done.stderr
    assert "org/small" in done.stdout
