"""`--quant` as it is typed, and who tells of it."""

import json
from pathlib import Path

import pytest
from packed import gptq, write_twins
from tiny_models import write_tiny_llama

from llmcli.cli.app import run

INT4 = "int4, groups of 32, vocabulary int8"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(write_tiny_llama(tmp_path / "tiny"))


def test_every_command_that_computes_takes_it_and_bench_names_it(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["generate", folder, "--quant", "int8", "-p", "Hello", "-n", "2"]) == 0
    assert run(["chat", folder, "--quantize", "int4", "-p", "Hello", "-n", "2"]) == 0
    capsys.readouterr()
    short = ["bench", folder, "-p", "4", "-n", "2", "-r", "1", "--cache", "on"]
    for options, named in (["--quant", "int4"], INT4), (["--quant", "none"], None), ([], None):
        assert run([*short, *options, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["machine"]["quantization"] == named
    monkeypatch.setenv("LLMCLI_QUANT", "int8")
    assert run(short) == 0
    assert " · int8, whole rows, float32 · cpu " in capsys.readouterr().out


def test_what_is_not_a_scheme_is_a_usage_error(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["generate", folder, "--quant", "int2", "-p", "Hello"]) == 2
    assert "'int2' is not one of 'none', 'int8', 'int4'" in capsys.readouterr().err


def test_a_packed_model_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed, _ = write_twins(tmp_path, gptq(4, 32))
    assert run(["generate", str(packed), "--quant", "int8", "-p", "Hello"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: {packed} is quantized already (gptq 4 bit, groups of 32): "
        "--quant is for plain models\n"
    )
