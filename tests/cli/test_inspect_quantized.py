"""`llmcli inspect` of GPTQ and AWQ checkpoints: what is packed counts as what it stands for."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shapes import LLAMA2_7B, Shape, llama_tensors, write_hollow

from llmcli.cli.app import run

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
AWQ = {
    "quant_method": "awq",
    "bits": 4,
    "group_size": 128,
    "zero_point": True,
    "version": "gemm",
}
QWEN25_05B: dict[str, Any] = {
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "float16",
}
LLAMA2_7B_PARAMETERS = 6_738_415_616
QWEN25_05B_PARAMETERS = 494_032_768


def packed_tensors(
    config: dict[str, Any], scheme: dict[str, Any], *, idle_biases: bool = False
) -> Iterator[tuple[str, str, Shape]]:
    """Names, dtypes and shapes of the checkpoint whose projections `scheme` packs."""
    bits, group = scheme["bits"], scheme["group_size"]
    for name, shape in llama_tensors(config):
        if "_proj" not in name:
            yield name, "F16", shape
            continue
        rows, columns = shape
        n_groups, stem = columns // group, name.removesuffix("weight")
        biased = config["model_type"] == "qwen2" and name[-13] in "qkv"
        if biased or idle_biases:
            yield f"{stem}bias", "F16", (rows,)
        if scheme["quant_method"] == "gptq":
            yield f"{stem}g_idx", "I32", (columns,)
            yield f"{stem}qweight", "I32", (columns * bits // 32, rows)
        else:
            yield f"{stem}qweight", "I32", (columns, rows * bits // 32)
        yield f"{stem}qzeros", "I32", (n_groups, rows * bits // 32)
        yield f"{stem}scales", "F16", (n_groups, rows)


def write(
    folder: Path,
    config: dict[str, Any],
    scheme: dict[str, Any],
    more: tuple[tuple[str, str, Shape], ...] = (),
    **how: Any,
) -> Path:
    text = json.dumps({**config, "quantization_config": scheme})
    (folder / "config.json").write_text(text, encoding="utf-8")
    tensors = [*packed_tensors(config, scheme, **how), *more]
    write_hollow(folder / "model.safetensors", tensors)
    return folder


@pytest.fixture
def inspect(capsys):
    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(["inspect", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("group_size", [128, 32])
def test_llama2_7b_gptq(tmp_path, inspect, bits, group_size):
    scheme = {**GPTQ, "bits": bits, "group_size": group_size, "desc_act": True}
    folder = write(tmp_path, LLAMA2_7B, scheme)
    code, out, err = inspect(folder, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["totals"]["parameters"] == LLAMA2_7B_PARAMETERS
    assert report["totals"]["stored_parameters"] == LLAMA2_7B_PARAMETERS
    assert sum(row["parameters"] for row in report["components"]) == LLAMA2_7B_PARAMETERS
    size = (folder / "model.safetensors").stat().st_size
    assert report["totals"]["bytes"] == size - report["source"]["bytes_read"]
    assert sum(tensor["bytes"] for tensor in report["tensors"]) == report["totals"]["bytes"]
    assert report["quantization"]["bits"] == bits
    assert report["dtype"] == "fp16"
    tensors = {tensor["name"]: tensor for tensor in report["tensors"]}
    q_proj = "model.layers.7.self_attn.q_proj"
    packed = tensors[f"{q_proj}.qweight"]
    assert (packed["concept"], packed["parameters"]) == ("W_Q", 4096 * 4096)
    assert packed["shape"] == [4096 * bits // 32, 4096]
    assert packed["parameter_shape"] == [4096, 4096]
    assert packed["heads"] == [32, 128]
    assert packed["bytes"] == 4096 * 4096 * bits // 8
    for kind, concept in (("qzeros", "zeros"), ("scales", "scales"), ("g_idx", "groups")):
        served = tensors[f"{q_proj}.{kind}"]
        assert (served["concept"], served["parameters"]) == (f"W_Q {concept}", 0)
        assert (served["component"], served["parameter_shape"]) == ("attention", None)


def test_bytes_are_those_of_the_layout(tmp_path, inspect):
    _, out, _ = inspect(write(tmp_path, LLAMA2_7B, GPTQ), "--json")
    packed = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    # 4 bits each, and for every 128 a scale of 16 bits and a zero point of 4
    expected = packed // 2 + packed // 128 * 20 // 8
    expected += 32 * 4 * (6 * 4096 + 11008)  # the group of each column
    expected += 2 * (LLAMA2_7B_PARAMETERS - packed)
    assert json.loads(out)["totals"]["bytes"] == expected


def test_the_looks(tmp_path, inspect):
    folder = write(tmp_path, LLAMA2_7B, GPTQ)
    code, out, _ = inspect(folder)
    lines = out.splitlines()
    assert code == 0
    for fact in ("6,738,415,616 parameters", "gptq 4 bit, groups of 128", "fp16", "3.6 GiB"):
        assert fact in lines[0]
    rows = {line.split()[0]: line.split() for line in lines[2:] if line}
    assert rows["model.layers.0-31"][1] == "(×32)"
    assert rows["self_attn.q_proj.qweight"][1:6] == [
        "512×4096",
        "I32",
        "W_Q",
        "32×128",
        "16,777,216",
    ]
    assert rows["mlp.down_proj.scales"][1:6] == ["86×4096", "F16", "W_down", "scales", "0"]
    _, out, _ = inspect(folder, "--params")
    assert "32 × 4·4096·4096" in out
    assert "32 × 3·11008·4096" in out
    assert "all parameters, unpacked, in the files" in out


@pytest.mark.parametrize("idle_biases", [True, False])
def test_qwen25_gptq_with_biases_that_the_family_lacks(tmp_path, inspect, idle_biases):
    folder = write(tmp_path, QWEN25_05B, GPTQ, idle_biases=idle_biases)
    code, out, err = inspect(folder, "--json")
    assert (code, err) == (0, "")
    totals = json.loads(out)["totals"]
    assert totals["parameters"] == QWEN25_05B_PARAMETERS
    idle = 24 * (2 * 896 + 2 * 4864) if idle_biases else 0
    assert totals["stored_parameters"] == QWEN25_05B_PARAMETERS + idle


def test_qwen25_awq_with_a_copy_of_the_tied_head(tmp_path, inspect):
    head = ("lm_head.weight", "F16", (151936, 896))
    code, out, err = inspect(write(tmp_path, QWEN25_05B, AWQ, (head,)), "--json")
    assert code == 0
    assert "counted once" in err
    report = json.loads(out)
    assert report["totals"]["parameters"] == QWEN25_05B_PARAMETERS
    assert report["quantized"] == "awq 4 bit, groups of 128"


def test_one_file_is_counted_like_its_folder(tmp_path, inspect):
    folder = write(tmp_path, QWEN25_05B, AWQ)
    _, whole, _ = inspect(folder, "--json")
    code, alone, err = inspect(folder / "model.safetensors", "--json")
    assert (code, err) == (0, "")
    assert json.loads(alone)["totals"] == json.loads(whole)["totals"]


def test_a_misshapen_tensor_is_named_without_torch(tmp_path):
    folder = write(tmp_path, QWEN25_05B, {**AWQ, "group_size": 64})
    config = {**QWEN25_05B, "quantization_config": AWQ}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    program = (
        "import sys; from llmcli.cli.app import run; "
        "code = run(sys.argv[1:]); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "inspect", str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 4, done.stderr
    assert "q_proj.qzeros is [14, 112], config.json says [7, 112]" in done.stderr
