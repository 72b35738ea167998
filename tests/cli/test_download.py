"""llmcli download, as a process of its own against a hub on this machine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import LISTING, Hub, small_model, wait_for_request, weights

ROOT = Path(__file__).parents[2]
NEEDED = {"config.json", "tokenizer.json", "model.safetensors"}
# A shell without job control has what it starts with `&` ignore Ctrl+C.
IN_THE_BACKGROUND = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


@pytest.fixture
def hub():
    with Hub() as server:
        server.add("org/small", small_model())
        yield server


@pytest.fixture
def environment(hub, tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_ETAG_TIMEOUT": "2",
    }


@pytest.fixture
def llmcli(environment, tmp_path):
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


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_stdout_is_the_folder_and_stderr_tells_each_file(llmcli, tmp_path):
    done = llmcli("download", "org/small")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.removesuffix("\n"))
    assert folder.is_relative_to(tmp_path / "hf" / "hub" / "models--org--small" / "snapshots")
    assert names_in(folder) == NEEDED
    assert (folder / "model.safetensors").read_bytes() == weights()
    for name in NEEDED:
        assert f"{name}: " in done.stderr
    assert "\x1b" not in done.stderr + done.stdout


def test_a_second_run_fetches_nothing(llmcli, hub):
    first = llmcli("download", "org/small", "-q")
    assert first.stderr == ""
    hub.requests.clear()
    again = llmcli("download", "org/small", "-q")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert hub.fetched() == []


def test_json_reports_what_is_there(llmcli, hub):
    done = llmcli("download", "org/small", "--json", "--quiet")
    report = json.loads(done.stdout)
    files = {name: len(small_model()[name]) for name in NEEDED}
    assert report["schema"] == "download/1"
    assert report["model"] == "org/small"
    assert report["commit"] == hub.revisions["org/small", "main"].commit
    assert {file["name"]: file["bytes"] for file in report["files"]} == files
    assert report["bytes"] == sum(files.values())
    assert names_in(Path(report["folder"])) == NEEDED


def test_revision_both_ways(llmcli, hub):
    commit = hub.add("org/small", small_model(2.0), revision="v1")
    at = llmcli("download", "org/small@v1", "-q")
    option = llmcli("download", "org/small", "--revision", "v1", "-q")
    assert at.stdout == option.stdout
    assert commit in at.stdout
    gone = llmcli("download", "org/small@v2")
    assert gone.returncode == 3
    assert "no revision v2" in gone.stderr


def test_local_dir_include_and_exclude(llmcli, tmp_path):
    done = llmcli(
        *("download", "org/small", "--local-dir", "here"),
        *("--include", "*.json", "--include", "README*", "--exclude", "tok*"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'here'}\n"
    assert names_in(tmp_path / "here") - {".cache"} == {"config.json", "README.md"}


@pytest.mark.parametrize(
    ("place", "fault", "code", "told"),
    [
        (LISTING, 401, 3, "HTTP 401"),
        (LISTING, "gated", 3, "gated"),
        (LISTING, 404, 3, "HTTP 404"),
        (LISTING, 429, 3, "HTTP 429"),
        (LISTING, 500, 3, "HTTP 500"),
        (LISTING, "hang", 3, "did not answer in time"),
        ("model.safetensors", "gated", 3, "accept its terms"),
        ("model.safetensors", "wrong hash", 3, "SHA-256"),
        ("model.safetensors", "wrong size", 3, "bytes"),
        ("model.safetensors", "cut", 3, "was cut"),
    ],
)
def test_a_failing_hub_is_one_error_line_and_exit_code_3(place, fault, code, told, llmcli, hub):
    hub.faults[place] = fault
    done = llmcli("download", "org/small", "-q")
    assert done.returncode == code
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert told in done.stderr
    assert [line for line in lines[1:] if not line.startswith("hint: ")] == []


def test_offline_is_exit_code_3(llmcli, hub):
    done = llmcli("download", "org/small", HF_HUB_OFFLINE="1")
    assert done.returncode == 3
    assert "HF_HUB_OFFLINE" in done.stderr
    assert hub.requests == []


def test_a_model_without_safetensors_is_exit_code_4(llmcli, hub):
    hub.add("org/pickled", {"config.json": b"{}", "pytorch_model.bin": b"\x80\x02"})
    done = llmcli("download", "org/pickled")
    assert done.returncode == 4
    assert "pytorch_model.bin" in done.stderr


def test_what_is_no_hub_name_is_said(llmcli, tmp_path):
    (tmp_path / "folder").mkdir()
    for name, code in [("demo", 2), ("./folder", 2), ("./gone", 3), ("gpt2", 3)]:
        done = llmcli("download", name)
        assert (done.returncode, done.stdout) == (code, ""), name
        assert done.stderr.startswith("error: ")


def test_a_name_with_control_characters_is_shown_escaped(llmcli, hub):
    hub.add("org/odd", small_model() | {"\x9b2J\u202e.json": b"{}"})
    done = llmcli("download", "org/odd", "--include", "*2J*")
    assert done.returncode == 0, done.stderr
    assert "\\x9b2J\\u202e.json" in done.stderr
    assert "\x9b" not in done.stderr


def start(environment: dict, folder: Path, before: str = "") -> subprocess.Popen:
    """A download as a process, which runs the code `before` first."""
    code = f"{before}\nfrom llmcli.cli.app import main; main(['download', 'org/small', '-q'])"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("stop", "before"),
    [
        (signal.SIGINT, ""),
        (signal.SIGINT, IN_THE_BACKGROUND),
        (signal.SIGKILL, ""),
    ],
)
def test_a_stopped_download_leaves_nothing_that_passes_for_whole(
    stop, before, hub, environment, llmcli, tmp_path
):
    hub.faults["model.safetensors"] = "hang body"
    process = start(environment | {"HF_HUB_DOWNLOAD_TIMEOUT": "100"}, tmp_path, before)
    wait_for_request(hub, "GET", "model.safetensors", process)
    process.send_signal(stop)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == (130 if stop == signal.SIGINT else -stop)
    assert (stdout, stderr) == ("", "")
    snapshots = tmp_path / "hf" / "hub" / "models--org--small"
    assert not list(snapshots.rglob("model.safetensors"))
    assert not (snapshots / "refs" / "main").exists()
    hub.faults.clear()
    done = llmcli("download", "org/small", "-q")
    assert names_in(Path(done.stdout.strip())) == NEEDED


def test_two_processes_on_one_cache_both_finish(environment, tmp_path):
    both = [start(environment, tmp_path) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert (Path(answers[0][0].strip()) / "model.safetensors").read_bytes() == weights()


def test_the_choice_of_a_default_model_does_not_wait_for_a_silent_hub(hub, environment, tmp_path):
    hub.faults[LISTING] = "hang"
    code = "from llmcli.checkpoint.store import resolve; print(resolve(None, notice=print).kind)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"HF_HUB_ETAG_TIMEOUT": "600"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "did not answer in time" in done.stdout
    assert done.stdout.endswith("\ndemo\n")


def test_progress_bars_leave_a_terminal_as_it_was(hub, environment, tmp_path):
    pty = pytest.importorskip("pty")
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "llmcli", "download", "org/small"],
        env=environment | {"TERM": "xterm", "COLUMNS": "90"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    stdout, _ = process.communicate(timeout=120)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(main, 65536):
            shown += chunk
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(main)
    assert process.returncode == 0
    assert b"\x1b" not in stdout
    assert b"org/small" in shown
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1
