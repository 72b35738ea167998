"""Plain models rounded while they are loaded: every family, what is rounded, and how well."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from family_configs import CONFIGS
from oracle import load_ours, random_ids, write_model
from packed import awq, gptq, write_twins
from tiny_models import write_tiny_llama

from llmcli.checkpoint import weights
from llmcli.checkpoint.quantization import OWN, Quant
from llmcli.checkpoint.store import Source
from llmcli.core import cpu, kernels
from llmcli.core.linear import Embedding, Linear, QuantizedEmbedding, QuantizedLinear
from llmcli.core.model import Decoder
from llmcli.engine import hardware
from llmcli.engine.folder import CheckedFolder, check_folder
from llmcli.engine.session import load
from llmcli.errors import OutOfMemoryError, UsageError

CPU = torch.device("cpu")
LARGE = hardware.SMALL_MODEL
QUANTS: tuple[Quant, ...] = ("int8", "int4")
# Of one matrix of normal numbers, against its own length: see tests/core/test_quantize.py.
ROUNDING: dict[Quant, float] = {"int8": 0.0085, "int4": 0.09}


def checked(folder: Path, quant: Quant = "none") -> CheckedFolder:
    return check_folder(Source("folder", str(folder), folder, None)).rounded_to(quant)


def quantized_modules(decoder: Decoder) -> dict[str, QuantizedLinear]:
    return {
        name: module
        for name, module in decoder.named_modules()
        if isinstance(module, QuantizedLinear)
    }


@pytest.mark.parametrize("quant", QUANTS)
@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_logits_of_every_family_stay_near_those_of_fp32(
    name: str, quant: Quant, tmp_path: Path
) -> None:
    """Each matrix errs on its own by a part r of its output. A logit has four of them per layer
    behind it, and W_E twice: r * sqrt(4 * layers + 2) in all where no error grows, with half as
    much again for softmax and gates, which may make it grow."""
    folder = write_model(tmp_path, CONFIGS[name])
    plain, rounded = load_ours(folder), load_ours(folder, quant=quant)
    ids = random_ids(plain, 4, 40, seed=2)
    truth = plain(ids)
    error = float((rounded(ids) - truth).norm() / truth.norm())
    assert error < 1.5 * ROUNDING[quant] * (4 * plain.config.n_layers + 2) ** 0.5


@pytest.mark.parametrize("quant", QUANTS)
@pytest.mark.parametrize("name", ["llama untied", "phi3", "gemma3_text", "gpt2", "qwen2"])
@torch.inference_mode()
def test_logits_are_those_of_the_rounded_matrices(name: str, quant: Quant, tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIGS[name])
    twin, rounded = load_ours(folder), load_ours(folder, quant=quant)
    for path, module in quantized_modules(rounded).items():
        plain = twin.get_submodule(path.removesuffix(".matrix"))
        assert isinstance(plain, (Linear, Embedding))
        plain.weight.copy_(module.dequantize())
    ids = random_ids(twin, 2, 12, seed=3)
    # The kernels round inputs to steps of 1 / 32767 of the largest of 32.
    expected = twin(ids)
    assert (rounded(ids) - expected).abs().max() < 2e-4 * expected.abs().max()


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_rounded_and_to_what(tied: bool, tmp_path: Path) -> None:
    config = {**CONFIGS["gpt2"], "tie_word_embeddings": tied}
    folder = write_model(tmp_path, config)
    decoder = load_ours(folder, torch.bfloat16, "int4")
    n_layers = decoder.config.n_layers
    matrices = ("attn.qkv", "attn.out", "mlp.up", "mlp.down")
    bits = {f"blocks.{layer}.{name}": 4 for layer in range(n_layers) for name in matrices}
    bits["embed.matrix" if tied else "head"] = 8
    found = quantized_modules(decoder)
    assert {name: module.bits for name, module in found.items()} == bits
    assert all(
        module.bias.dtype == torch.bfloat16
        for name, module in found.items()
        if "." in name and name != "embed.matrix"
    )
    assert type(decoder.embed) is (QuantizedEmbedding if tied else Embedding)
    assert decoder.dtype == decoder.positions.weight.dtype == torch.bfloat16
    assert decoder.final_norm.weight.dtype == torch.float32


@pytest.mark.parametrize("quant", QUANTS)
def test_the_files_own_numbers_are_rounded_whatever_is_computed_in(
    quant: Quant, tmp_path: Path
) -> None:
    folder = write_model(tmp_path, CONFIGS["llama gqa"])
    wide, narrow = (
        quantized_modules(load_ours(folder, dtype, quant))
        for dtype in (torch.float32, torch.bfloat16)
    )
    for name in wide:
        assert torch.equal(wide[name].codes, narrow[name].codes)
        assert torch.equal(wide[name].scales, narrow[name].scales)


def test_one_matrix_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was rounded is gone before the next is filled."""
    held: list[weakref.ref[torch.Tensor]] = []

    def quantize(weight: torch.Tensor, *how: Any) -> QuantizedLinear:
        assert all(earlier() is None for earlier in held)
        held.append(weakref.ref(weight))
        return original(weight, *how)

    original = weights.quantize
    monkeypatch.setattr(weights, "quantize", quantize)
    load(checked(write_tiny_llama(tmp_path), "int8"), device="cpu")
    assert len(held) == 1 + 2 * 4  # W_E, and four matrices a layer


@pytest.mark.parametrize("quantization", [gptq(4, 32), awq(32)], ids=["gptq", "awq"])
def test_packed_models_are_not_rounded_again(tmp_path: Path, quantization: dict[str, Any]) -> None:
    folder, _ = write_twins(tmp_path, quantization)
    with pytest.raises(UsageError, match=r"is quantized already \((gptq|awq) 4 bit, groups of 32"):
        checked(folder, "int8")
    assert checked(folder).rounded_to("none").scheme == checked(folder).scheme


@pytest.mark.parametrize("quant", QUANTS)
@pytest.mark.parametrize("tied", [True, False])
def test_the_memory_estimate_is_what_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quant: Quant, tied: bool
) -> None:
    folder = write_tiny_llama(
        tmp_path, tie_word_embeddings=tied, hidden_size=64, intermediate_size=80
    )
    found = checked(folder, quant)
    model = load(found, device="cpu", dtype="fp32")
    assert model.scheme == OWN[quant]
    scratch = 2 * 80 * 64 * 4  # gate and up joined, in the file's fp32
    monkeypatch.setattr(hardware, "available_memory_bytes", lambda: model.nbytes + scratch)
    hardware.refuse_if_too_large(found, torch.float32, CPU)
    monkeypatch.setattr(hardware, "available_memory_bytes", lambda: model.nbytes + scratch - 1)
    with pytest.raises(OutOfMemoryError, match=f"in {quant}, "):
        hardware.refuse_if_too_large(found, torch.float32, CPU)


@pytest.mark.parametrize(
    ("quant", "share", "hint"),
    [
        ("none", 0.6, "try --dtype bf16"),
        ("none", 0.4, "try --quant int8"),
        ("none", 0.28, "try --quant int4"),
        ("int8", 0.28, "try --quant int4"),
        ("none", 0.1, "try a smaller model"),
        ("int4", 0.1, "try a smaller model"),
    ],
)
def test_what_would_fit_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quant: Quant, share: float, hint: str
) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 12}
    folder = write_tiny_llama(tmp_path, **sizes)
    size = (folder / "model.safetensors").stat().st_size
    monkeypatch.setattr(hardware, "available_memory_bytes", lambda: int(size * share))
    with pytest.raises(OutOfMemoryError) as error:
        hardware.refuse_if_too_large(checked(folder, quant), torch.float32, CPU)
    assert error.value.hint == hint


@pytest.mark.parametrize("chosen", kernels.available())
def test_auto_takes_bf16_where_the_cpu_or_our_kernels_are_fast_in_it(
    monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    before = kernels.chosen()
    kernels.use(chosen)
    try:
        for native in ({"fp32"}, {"fp32", "bf16"}):
            monkeypatch.setattr(cpu, "native_dtypes", lambda native=native: frozenset(native))
            fast = chosen != "torch" or "bf16" in native
            expected = torch.bfloat16 if fast else torch.float32
            assert hardware.choose_dtype("auto", "BF16", CPU, LARGE) == expected
            assert hardware.choose_dtype("auto", "F16", CPU, LARGE) == torch.float32
            assert hardware.choose_dtype("auto", "U8", CPU, LARGE) == torch.float32
            small = hardware.choose_dtype("auto", "BF16", CPU, hardware.SMALL_MODEL - 1)
            assert small == torch.float32
    finally:
        kernels.use(before)
