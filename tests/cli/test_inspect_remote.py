"""`llmcli inspect` of models on the hub, as a process of its own against a hub on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import LISTING, Hub, small_model
from shapes import SMALL, write_shape

from llmcli.cli.table import size

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub(tmp_path):
    with Hub() as server:
        folder = write_shape(tmp_path / "model", SMALL, n_shards=3)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        server.add("org/small", files)
        yield server


@pytest.fixture
def llmcli(hub, tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    environment = kept | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.url,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "llmcli", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )

    return run


def test_the_report_is_that_of_the_folder_and_one_line_tells_the_cost(llmcli, hub, tmp_path):
    commit = hub.revisions["org/small", "main"].commit
    there, here = llmcli("inspect", "org/small"), llmcli("inspect", "model")
    assert there.returncode == here.returncode == 0, there.stderr
    assert there.stdout == here.stdout.replace("model:", "org/small:", 1)
    (line,) = there.stderr.splitlines()
    assert line == (
        f"org/small at {commit[:12]}: read headers alone, in 6 requests, {size(hub.sent)}; "
        "the tensors stay there, 81.7 KiB"
    )
    assert not (tmp_path / "hf").exists()
    assert llmcli("inspect", "org/small", "-q").stderr == ""


def test_json_states_requests_bytes_and_commit(llmcli, hub):
    done = llmcli("inspect", f"org/small@{hub.revisions['org/small', 'main'].commit}", "--json")
    source = json.loads(done.stdout)["source"]
    assert source == {
        "kind": "hub",
        "requests": len(hub.requests),
        "bytes_read": hub.sent,
        "commit": hub.revisions["org/small", "main"].commit,
    }


def test_from_the_cache_without_network(llmcli, hub):
    hub.add("org/whole", small_model())
    hub.faults["model.safetensors"] = 500
    assert llmcli("inspect", "org/whole").returncode == 3
    hub.faults.clear()
    assert llmcli("download", "org/whole").returncode == 0
    hub.requests.clear()
    # Its config.json asks for more tensors than it has: read, and refused, without a request.
    assert llmcli("inspect", "org/whole").returncode == 4
    assert hub.requests == []


@pytest.mark.parametrize(
    ("fault", "code", "told", "hint"),
    [
        ("gated", 3, "org/small is gated", "accept its terms"),
        (404, 3, "HTTP 404", ""),
        (429, 3, "too many requests", "wait some minutes"),
        (503, 3, "in trouble", "try again later"),
    ],
)
def test_refusals_are_one_line_and_a_hint(llmcli, hub, fault, code, told, hint):
    hub.faults[LISTING] = fault
    done = llmcli("inspect", "org/small")
    assert (done.returncode, done.stdout) == (code, "")
    error, *rest = done.stderr.splitlines()
    assert error.startswith("error: ") and told in error
    assert hint in "".join(rest)
    assert len(rest) <= 1


def test_a_model_in_another_format_is_exit_4(llmcli, hub):
    hub.add("org/gguf", {"tiny.Q4_0.gguf": b"GGUF", "README.md": b"#"})
    done = llmcli("inspect", "org/gguf")
    assert (done.returncode, done.stdout) == (4, "")
    assert "it has tiny.Q4_0.gguf" in done.stderr
    assert "hint: look for a version of the model in safetensors format" in done.stderr
    assert llmcli("inspect", "org/none").returncode == 3


@pytest.fixture
def wide(hub, tmp_path):
    """A second revision of org/small, whose MLP is wider; its commit."""
    folder = write_shape(tmp_path / "wide", {**SMALL, "intermediate_size": 64})
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return hub.add("org/small", files, "v2")


def test_diff_of_a_folder_and_a_model_on_the_hub(llmcli, hub, tmp_path):
    commit = hub.revisions["org/small", "main"].commit
    done = llmcli("inspect", "diff", "model", "org/small")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"A: model · B: org/small at {commit[:12]} · equal\n")
    (line,) = done.stderr.splitlines()
    assert line == (
        f"org/small at {commit[:12]}: read headers alone, in 6 requests, {size(hub.sent)}; "
        "the tensors stay there, 81.7 KiB"
    )
    assert not (tmp_path / "hf").exists()
    assert llmcli("inspect", "diff", "org/small", "model", "-q").stderr == ""


def test_diff_of_two_revisions_on_the_hub_says_which(llmcli, hub, wide):
    commits = [hub.revisions["org/small", "main"].commit, wide]
    done = llmcli("inspect", "diff", "org/small", "org/small@v2")
    assert done.returncode == 0, done.stderr
    a, b = (f"org/small at {commit[:12]}" for commit in commits)
    assert done.stdout.startswith(f"A: {a} · B: {b} · 15 tensors, 1 field differ\n")
    assert "model.layers.0-4.mlp.up_proj.weight" in done.stdout
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [a, b]
    sent, n_requests = hub.sent, len(hub.requests)
    told = json.loads(llmcli("inspect", "diff", "org/small", "org/small@v2", "--json").stdout)
    sources = [told[side]["source"] for side in ("a", "b")]
    assert [(each["kind"], each["commit"]) for each in sources] == [("hub", c) for c in commits]
    assert sum(each["requests"] for each in sources) == len(hub.requests) - n_requests
    assert sum(each["bytes_read"] for each in sources) == hub.sent - sent


@pytest.mark.parametrize("missing", ["org/none", "org/small@nowhere"])
@pytest.mark.parametrize("first", [True, False])
def test_diff_with_what_is_not_on_the_hub_is_exit_3(llmcli, missing, first):
    pair = (missing, "model") if first else ("model", missing)
    done = llmcli("inspect", "diff", *pair)
    assert (done.returncode, done.stdout) == (3, "")
    error, *rest = done.stderr.splitlines()
    name, _, revision = missing.partition("@")
    assert error.startswith("error: ") and name in error and revision in error
    assert len(rest) <= 1


def test_diff_of_a_cached_model_asks_nothing(llmcli, hub, wide):
    hub.add("org/whole", {**hub.revisions["org/small", "v2"].files, "tokenizer.json": b"{}"})
    assert llmcli("download", "org/whole").returncode == 0
    hub.requests.clear()
    done = llmcli("inspect", "diff", "org/whole", "wide", "--offline")
    commit = hub.revisions["org/whole", "main"].commit
    assert done.stdout.startswith(f"A: org/whole at {commit[:12]} · B: wide · equal\n"), done.stderr
    assert (done.stderr, hub.requests) == ("", [])
