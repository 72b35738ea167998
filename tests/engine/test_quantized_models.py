"""A quantized folder through the engine and the command line: the same text as its plain twin."""

from pathlib import Path

import pytest
import torch
from packed import awq, gptq, write_twins
from safetensors.torch import load_file, save_file

from llmcli.bench import machine
from llmcli.checkpoint.store import Source
from llmcli.cli.app import run
from llmcli.engine import hardware
from llmcli.engine.folder import CheckedFolder, check_folder
from llmcli.engine.session import load
from llmcli.errors import OutOfMemoryError

CPU = torch.device("cpu")


def checked(folder: Path) -> CheckedFolder:
    return check_folder(Source("folder", str(folder), folder, None))


@pytest.mark.parametrize(
    "quantization",
    [gptq(4, 32, sym=True), gptq(3, -1, desc_act=True, sym=False), awq(32)],
    ids=["gptq 4", "gptq 3", "awq"],
)
def test_generate_writes_what_the_plain_twin_writes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], quantization: dict[str, object]
) -> None:
    texts = []
    for folder in write_twins(tmp_path, quantization):
        options = ["-p", "Hello", "-n", "8", "--temperature", "0", "--device", "cpu", "--quiet"]
        assert run(["generate", str(folder), *options]) == 0
        texts.append(capfd.readouterr().out)
    assert texts[0] == texts[1] != ""


def test_auto_dtype_follows_the_tensors_that_are_not_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = write_twins(tmp_path, gptq(4, 32))
    tensors = load_file(folder / "model.safetensors")
    halves = {
        name: tensor.bfloat16() if tensor.dtype == torch.float32 else tensor
        for name, tensor in tensors.items()
    }
    save_file(halves, folder / "model.safetensors")
    monkeypatch.setattr(hardware, "SMALL_MODEL", 0)  # small models are in fp32 always
    for native, dtype in ({"fp32", "bf16"}, torch.bfloat16), ({"fp32"}, torch.float32):
        monkeypatch.setattr(hardware, "fast_dtypes", lambda _, native=native: native)
        decoder = load(checked(folder), device="cpu").decoder
        assert decoder.dtype == dtype
        states = torch.ones(1, 96, dtype=dtype)
        assert decoder.blocks[0].mlp.down(states).dtype == dtype


def test_a_model_tells_its_parameters_and_bytes(tmp_path: Path) -> None:
    packed, dense = (
        load(checked(folder), device="cpu", dtype="fp32")
        for folder in write_twins(tmp_path, gptq(4, 32))
    )
    assert packed.n_parameters == dense.n_parameters
    assert dense.nbytes == 4 * dense.n_parameters
    n_packed = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64)
    assert packed.nbytes == 4 * (dense.n_parameters - n_packed) + n_packed // 32 * (16 + 3)
    assert machine.describe(packed).quantization == "gptq 4 bit, groups of 32"


def test_the_memory_estimate_counts_packed_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = write_twins(tmp_path, gptq(4, 32, desc_act=True))
    found = checked(folder)
    decoder = load(found, device="cpu", dtype="fp32").decoder
    held = sum(tensor.nbytes for tensor in (*decoder.parameters(), *decoder.buffers()))
    scratch = 2 * 96 * 64 * 2  # codes of gate and up, one a byte, apart and joined
    monkeypatch.setattr(hardware, "available_memory_bytes", lambda: held + scratch)
    hardware.refuse_if_too_large(found, torch.float32, CPU)
    monkeypatch.setattr(hardware, "available_memory_bytes", lambda: held + scratch - 1)
    with pytest.raises(OutOfMemoryError, match="in gptq 4 bit, groups of 32, and"):
        hardware.refuse_if_too_large(found, torch.float32, CPU)
