"""`inspect --stats` and `inspect diff A B` as their users meet them."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from shapes import LLAMA3_8B, SMALL, write_hollow, write_shape

from llmcli.checkpoint.store import RemoteModel
from llmcli.cli.app import run
from llmcli.cli.inspect_stats import measured
from llmcli.cli.output import Output
from llmcli.errors import UsageError
from llmcli.views.inspection import inspect as inspection

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(["inspect", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""

    def terminal(self: Output, *, stderr: bool = False) -> Console:
        return Console(file=self.stdout, width=80, highlight=False, markup=False, emoji=False)

    monkeypatch.setattr(Output, "console", terminal)
    monkeypatch.setattr(Output, "styled", True)


@pytest.fixture
def flawed(tmp_path: Path) -> Path:
    """One file with a NaN, an infinity, and a dtype whose numbers are integers."""
    values = {
        "model.layers.0.w": torch.tensor([0.0, 1.0, float("nan"), float("inf")]),
        "model.layers.0.codes": torch.tensor([-5, 0, 120], dtype=torch.int8),
    }
    save_file(values, tmp_path / "flawed.safetensors")
    return tmp_path / "flawed.safetensors"


def test_statistics_name_every_flaw_and_say_that_weights_are_read(
    inspect: Run, flawed: Path
) -> None:
    code, out, err = inspect(flawed, "--stats")
    assert (code, err) == (0, "--stats reads the weights: 19 B\n")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["tensor"] == ["min", "max", "mean", "sd", "zeros", "NaN", "infinite"]
    assert rows["model.layers.0.w"] == ["0", "1", "0.5", "0.5", "1", "1", "1"]
    assert rows["model.layers.0.codes"][:3] == ["-5", "120", "38.3"]
    assert "2 tensors: 2 zeros, 1 NaN, 1 infinite" in out


def test_statistics_for_programs(inspect: Run, flawed: Path) -> None:
    _, out, _ = inspect(flawed, "--stats", "--json", "--filter", "*.w")
    report = json.loads(out)
    stats = {"name": "model.layers.0.w", "min": 0.0, "max": 1.0, "mean": 0.5, "sd": 0.5}
    assert report["schema"] == "inspect/1"
    assert report["stats"] == [{**stats, "zeros": 1, "nan": 1, "infinite": 1}]
    _, out, _ = inspect(flawed, "--stats", "-o", "csv")
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(out))}
    assert rows["model.layers.0.w"]["infinite"] == "1"
    _, out, _ = inspect(flawed, "--stats", "-o", "md")
    assert "| tensor | min | max |" in out


@pytest.mark.usefixtures("narrow")
def test_statistics_fit_80_columns_below_their_layers(inspect: Run) -> None:
    _, out, _ = inspect("demo", "--stats")
    lines = out.splitlines()
    at = lines.index("model.layers.3")
    assert lines[at + 1].split()[0] == "input_layernorm.weight"
    assert lines.count("model.layers.3") == 1
    assert max(map(len, out.splitlines())) <= 80


def test_weights_that_are_on_the_hub_are_to_be_downloaded_first() -> None:
    from llmcli.checkpoint.store import resolve

    remote = RemoteModel("org/name", Path("org/name"), "c0ffee", {}, {}, 1, 1)
    with pytest.raises(UsageError, match="on the hub") as raised:
        measured(inspection(resolve("demo")), remote, Output())
    assert raised.value.hint == "download it first: llmcli download org/name@c0ffee"


def test_ctrl_c_ends_the_reading(tmp_path: Path) -> None:
    write_hollow(tmp_path / "big.safetensors", [("w", "BF16", (2**20, 2**14))])  # 32 GiB
    command = [sys.executable, "-m", "llmcli", "inspect", "big.safetensors", "--stats"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "--stats reads the weights: 32.0 GiB\n"
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_equal_models_say_so(inspect: Run) -> None:
    code, out, err = inspect("diff", "demo", "demo")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "A: demo · B: demo · equal"
    assert "Equal: " in out


def test_differences_are_folded_for_people_and_whole_for_programs(
    inspect: Run, tmp_path: Path
) -> None:
    a = write_shape(tmp_path / "a", SMALL)
    b = write_shape(tmp_path / "b", {**SMALL, "intermediate_size": 64}, dtype="F16")
    code, out, _ = inspect("diff", a, b)
    assert code == 0
    assert "model.layers.0-4.mlp.up_proj.weight" in out
    assert "BF16 48×32  F16 64×32" in out
    assert "intermediate_size  changed  48  64" in out
    report = json.loads(inspect("diff", a, b, "--json")[1])
    assert (report["schema"], report["equal"]) == ("inspect-diff/1", False)
    assert len(report["tensors"]) == report["a"]["tensors"]
    assert report["config"] == [
        {"field": "intermediate_size", "change": "changed", "a": 48, "b": 64}
    ]
    rows = list(csv.DictReader(io.StringIO(inspect("diff", a, b, "-o", "csv")[1])))
    assert rows[-1] == {
        "what": "config",
        "name": "intermediate_size",
        "change": "changed",
        "a": "48",
        "b": "64",
    }


@pytest.mark.usefixtures("narrow")
def test_models_of_different_sizes_fit_80_columns(
    inspect: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_shape(tmp_path / "a", LLAMA3_8B)
    larger = {**LLAMA3_8B, "hidden_size": 8192, "num_hidden_layers": 80}
    write_shape(tmp_path / "b", larger)
    lines = inspect("diff", "a", "b")[1].splitlines()
    assert max(map(len, lines)) <= 80
    assert lines.count("model.layers.0-31") == lines.count("model.layers.32-79") == 1


def test_a_file_without_tensors(inspect: Run, tmp_path: Path) -> None:
    write_hollow(tmp_path / "none.safetensors", [])
    code, out, _ = inspect(tmp_path / "none.safetensors", "--stats", "-o", "csv")
    assert (code, out) == (0, "name,min,max,mean,sd,zeros,nan,infinite\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diff"], "diff takes two models, not 0"),
        (["diff", "demo"], "diff takes two models, not 1"),
        (["diff", "demo", "demo", "demo"], "diff takes two models, not 3"),
        (["demo", "demo"], "one MODEL at a time"),
        (["diff", "demo", "demo", "--params"], "a look of its own"),
        (["diff", "demo", "demo", "--layer", "0"], "a look of its own"),
        (["demo", "--stats", "--tree"], "two looks"),
        (["demo", "--stats", "--explain"], "leave it out with --stats"),
    ],
)
def test_what_cannot_be_asked_for(inspect: Run, arguments: list[str], message: str) -> None:
    code, out, err = inspect(*arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_folder_named_diff_and_a_model_from_the_environment(
    inspect: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shape(tmp_path / "diff", SMALL)
    monkeypatch.chdir(tmp_path)
    assert inspect("./diff")[0] == 0
    monkeypatch.setenv("LLMCLI_MODEL", "no such model")
    assert inspect("diff", "demo", "./diff")[0] == 0
    monkeypatch.setenv("LLMCLI_MODEL", "demo")
    assert inspect()[1].startswith("demo: llama")
