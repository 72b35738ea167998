"""`llmcli quantize` as it is typed: what it prints, writes and refuses."""

import errno
import json
import re
from pathlib import Path
from typing import Any

import pytest
from packed import gptq, write_twins
from shapes import SMALL, SMOLLM2_135M, write_hollow, write_shape
from tiny_models import write_tiny_llama

from llmcli.checkpoint.config_json import describe
from llmcli.checkpoint.layout import expected_tensors
from llmcli.checkpoint.quantization import OWN
from llmcli.cli.app import run

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "tiny")


@pytest.mark.parametrize("quant", ["int8", "int4"])
def test_the_folder_gives_the_text_that_rounding_at_load_gives(
    folder: Path, tmp_path: Path, capsys: Captured, quant: str
) -> None:
    out = tmp_path / "out"
    assert run(["quantize", str(folder), str(out), "--quant", quant]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n"
    assert re.search(rf"tiny: [\d.]+ KiB → [\d.]+ KiB, {OWN[quant].label}\n$", captured.err)
    texts = []
    for arguments in ([str(out)], [str(folder), "--quant", quant]):
        assert run(["generate", *arguments, "-p", "Hello", "-n", "12", "--seed", "3"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != ""


def test_the_report(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "out"
    assert run(["quantize", str(folder), str(out), "--json", "--quiet"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert captured.err == ""
    sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    assert {file["name"]: file["bytes"] for file in report.pop("files")} == sizes
    values = 320 * 32 + 2 * (3072 + 3 * 32 * 48 + 2 * 32) + 32
    assert report == {
        "schema": "quantize/1",
        "model": str(folder),
        "folder": str(out),
        "quantization": "int4, groups of 32, vocabulary int8",
        "source_bytes": 4 * values,
        "bytes": sum(sizes.values()),
    }


def test_inspect_counts_what_the_codes_stand_for(
    folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    assert run(["quantize", str(folder), str(out), "--quiet"]) == 0
    capsys.readouterr()
    reports = []
    for each in (folder, out):
        assert run(["inspect", str(each), "--json"]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    plain, packed = reports
    for key in ("parameters", "stored_parameters", "non_embedding_parameters"):
        assert packed["totals"][key] == plain["totals"][key]
    assert packed["components"] == plain["components"]
    assert packed["dtype"] == "fp32"
    assert packed["quantized"] == "int4, groups of 32, vocabulary int8"
    tensors = {tensor["name"]: tensor for tensor in packed["tensors"]}
    codes = tensors["model.layers.1.mlp.down_proj.codes"]
    assert (codes["shape"], codes["parameter_shape"]) == ([32, 24], [32, 48])
    assert (codes["concept"], codes["parameters"], codes["dtype"]) == ("W_down", 32 * 48, "U8")
    scales = tensors["model.layers.1.mlp.down_proj.scales"]
    assert (scales["concept"], scales["parameters"]) == ("W_down scales", 0)


def test_a_published_size(tmp_path: Path, capsys: Captured) -> None:
    """SmolLM2-135M in 4 bits, from headers: its bytes are those that the layout gives."""
    config: dict[str, Any] = {**SMOLLM2_135M, "quantization_config": OWN["int4"].settings()}
    description = describe(config, Path("config.json"))
    tensors = [
        (tensor.name, tensor.dtype or "BF16", tensor.shape)
        for tensor in expected_tensors(
            description.family, description.config, scheme=description.scheme
        )
    ]
    write_hollow(tmp_path / "model.safetensors", tensors)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run(["inspect", str(tmp_path), "--json"]) == 0
    totals = json.loads(capsys.readouterr().out)["totals"]
    assert totals["parameters"] == 134_515_008
    vocabulary, norms = 49152 * 576, 61 * 576
    rest = 134_515_008 - vocabulary - norms
    assert totals["bytes"] == vocabulary + 2 * 49152 + 2 * norms + rest // 2 + 2 * rest // 32


def test_what_is_there_is_refused_before_anything_is_read(
    folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert run(["quantize", "no-such-model", str(folder)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: {folder} is not empty\nhint: name a folder that is new, or empty\n"
    )


def test_what_cannot_be_quantized(tmp_path: Path, capsys: Captured) -> None:
    packed, _ = write_twins(tmp_path, gptq(4, 32))
    out = tmp_path / "out"
    assert run(["quantize", str(packed), str(out)]) == 2
    assert "is quantized already (gptq 4 bit, groups of 32)" in capsys.readouterr().err
    assert run(["quantize", "demo", str(out), "--quant", "none"]) == 2
    assert "'none' is not one of 'int8', 'int4'" in capsys.readouterr().err
    assert run(["quantize", "./nowhere", str(out)]) == 3
    headers_only = write_shape(tmp_path / "shape", SMALL)  # no tokenizer: no model
    assert run(["quantize", str(headers_only), str(out)]) == 4
    assert not out.exists()


def test_a_full_disk_is_one_line(
    folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("llmcli.checkpoint.shards.ShardWriter.write", full)
    out = tmp_path / "out"
    assert run(["quantize", str(folder), str(out)]) == 1
    assert capsys.readouterr().err == (f"error: {out} cannot be written: No space left on device\n")
    assert not out.exists()
