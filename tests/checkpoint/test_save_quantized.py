"""`llmcli quantize`'s folders: byte by byte as documented, and the same model as --quant gives."""

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from family_configs import CONFIGS
from oracle import load_ours, random_ids, write_model
from safetensors.torch import load_file, save_file
from tiny_models import LLAMA, random_weights, write_json, write_tiny_llama

from llmcli.checkpoint import save_quantized as saving
from llmcli.checkpoint import shards
from llmcli.checkpoint.quantization import Quant
from llmcli.checkpoint.store import Source
from llmcli.cli.app import run
from llmcli.engine.folder import CheckedFolder, check_folder
from llmcli.engine.quantize import quantize
from llmcli.engine.session import load
from llmcli.errors import InvalidModelError, LlmcliError, UsageError

QUANTS: tuple[Quant, ...] = ("int8", "int4")
ONE_OF_EACH = list({config["model_type"]: name for name, config in CONFIGS.items()}.values())


def checked(folder: Path) -> CheckedFolder:
    return check_folder(Source("folder", str(folder), folder, None))


def save(folder: Path, quant: Quant, out: Path) -> Path:
    """By the folder's headers alone: random models of every family have no tokenizer."""
    from llmcli.checkpoint.config_json import read_description
    from llmcli.checkpoint.headers import read_folder
    from llmcli.checkpoint.layout import check_tensors, rounded
    from llmcli.checkpoint.quantization import OWN

    description, headers = read_description(folder), read_folder(folder)
    expected, _ = check_tensors(description.family, description.config, headers)
    marked = [rounded(each, OWN[quant], tied=description.config.tied) for each in expected]
    saving.save_quantized(folder, headers, marked, OWN[quant], out)
    return out


@pytest.mark.parametrize("quant", QUANTS)
@pytest.mark.parametrize("name", [*ONE_OF_EACH, "llama untied", "gpt2"])
@torch.inference_mode()
def test_a_saved_model_is_bit_for_bit_the_one_rounded_at_load(
    name: str, quant: Quant, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "plain", CONFIGS[name])
    saved = load_ours(save(folder, quant, tmp_path / "saved"))
    rounded = load_ours(folder, quant=quant)
    state, other = saved.state_dict(), rounded.state_dict()
    assert state.keys() == other.keys()
    for name in state:  # codes may differ where columns and rows are filled up
        if not name.endswith("codes"):
            assert torch.equal(state[name], other[name]), name
            continue
        module = name.removesuffix(".codes")
        one, two = (each.get_submodule(module).dequantize() for each in (saved, rounded))
        assert torch.equal(one, two), name
    ids = random_ids(saved, 1, 12, seed=3)
    assert torch.equal(saved(ids), rounded(ids))
    assert torch.equal(saved(ids[:, :1]), rounded(ids[:, :1]))


def documented(codes: np.ndarray, scales: np.ndarray, bits: int, columns: int) -> np.ndarray:
    """W (out, in) as docs/quantization.md reads it, with nothing of the package."""
    if bits == 4:
        apart = np.empty((codes.shape[0], 2 * codes.shape[1]), np.uint8)
        apart[:, 0::2], apart[:, 1::2] = codes & 15, codes >> 4
        codes = apart[:, :columns]
    group = 32 if bits == 4 else columns
    wide = np.repeat(scales.astype(np.float32), group, axis=1)[:, :columns]
    return (codes.astype(np.float32) - (1 << (bits - 1))) * wide


ODD = {**LLAMA, "hidden_size": 40, "intermediate_size": 49, "num_attention_heads": 4}


@pytest.mark.parametrize("quant", QUANTS)
@pytest.mark.parametrize("config", [ODD, CONFIGS["gpt2"]], ids=["odd widths", "stored (in, out)"])
def test_the_layout_is_the_documented_one(
    config: dict[str, Any], quant: Quant, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "plain", config)
    plain = load_file(folder / "model.safetensors")
    saved = load_file(save(folder, quant, tmp_path / "saved") / "model.safetensors")
    rounded = [name.removesuffix(".codes") for name in saved if name.endswith(".codes")]
    transposed = config["model_type"] == "gpt2"
    for name in rounded:
        vocabulary = name.endswith(("embed_tokens", "wte"))
        bits = 8 if vocabulary or quant == "int8" else 4
        weight = plain.pop(f"{name}.weight")
        weight = (weight.T if transposed and not vocabulary else weight).numpy()
        rows, columns = weight.shape
        codes, scales = saved.pop(f"{name}.codes"), saved.pop(f"{name}.scales")
        assert (codes.dtype, scales.dtype) == (torch.uint8, torch.float16)
        assert codes.shape == (rows, -(-columns * bits // 8))
        assert scales.shape == (rows, -(-columns // 32) if bits == 4 else 1)
        read = documented(codes.numpy(), scales.numpy(), bits, columns)
        assert np.linalg.norm(read - weight) / np.linalg.norm(weight) < (
            0.09 if bits == 4 else 0.0085
        )
        if columns % 2 and bits == 4:
            assert not (codes[:, -1] >> 4).any()
    # Everything else is as it was, and every matrix but the positions' was rounded.
    assert saved.keys() == plain.keys()
    assert all(torch.equal(saved[name], plain[name]) for name in saved)
    assert all(tensor.dim() == 1 or "wpe" in name for name, tensor in saved.items())


def test_what_lies_beside_the_weights(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "plain", extra_key={"kept": [1, None]})
    (folder / "modeling.py").write_text("raise SystemExit")
    out = tmp_path / "new" / "saved"
    files = quantize(checked(folder), "int4", out)
    assert files == {path.name: path.stat().st_size for path in out.iterdir()}
    assert sorted(files) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    config = json.loads((out / "config.json").read_text())
    assert config.pop("quantization_config") == {
        "quant_method": "llmcli",
        "version": 1,
        "bits": 4,
        "group_size": 32,
        "vocab_bits": 8,
    }
    assert config == json.loads((folder / "config.json").read_text())
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()
    model = load(checked(out), device="cpu")
    assert model.nbytes == load(checked(folder).rounded_to("int4"), device="cpu").nbytes
    assert model.scheme is not None
    assert model.scheme.label == "int4, groups of 32, vocabulary int8"


def test_what_the_family_does_not_know_is_left_out(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "plain")
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    weights["model.layers.0.extra"] = torch.ones(3)
    save_file(weights, folder / "model.safetensors")
    quantize(checked(folder), "int8", tmp_path / "saved")
    names = load_file(tmp_path / "saved" / "model.safetensors").keys()
    assert not {"lm_head.weight", "lm_head.codes", "model.layers.0.extra"} & names


def test_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tiny_llama(tmp_path / "plain", torch_dtype="bfloat16")
    quantize(checked(folder), "int8", tmp_path / "one")
    monkeypatch.setattr(shards, "MAX_SHARD_BYTES", 12_000)
    files = quantize(checked(folder), "int8", tmp_path / "many")
    count = sum(name.endswith(".safetensors") for name in files)
    assert count > 2
    assert f"model-{count:05}-of-{count:05}.safetensors" in files
    index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_text())
    whole = load_file(tmp_path / "one" / "model.safetensors")
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in whole.values())
    for name, tensor in whole.items():
        held = load_file(tmp_path / "many" / index["weight_map"][name])
        assert torch.equal(held[name], tensor)
        assert sum(tensor.nbytes for tensor in held.values()) <= 12_000
    one, many = (load(checked(tmp_path / name), device="cpu") for name in ("one", "many"))
    state = many.decoder.state_dict()
    for name, tensor in one.decoder.state_dict().items():
        assert torch.equal(state[name], tensor)


def test_every_tensor_lies_on_a_multiple_of_its_width(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "plain", ODD)
    file = save(folder, "int4", tmp_path / "saved") / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    widths = {"U8": 1, "F16": 2, "F32": 4}
    for name, entry in header.items():
        if name != "__metadata__":
            assert (8 + length + entry["data_offsets"][0]) % widths[entry["dtype"]] == 0


@pytest.mark.parametrize("there", ["file", "full folder", "link to nowhere"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    out = tmp_path / "out"
    if there == "file":
        out.write_text("mine")
    elif there == "full folder":
        write_tiny_llama(out)
    else:
        out.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"out is (not empty|there already)"):
        quantize(checked(write_tiny_llama(tmp_path / "plain")), "int8", out)
    assert sorted(path for path in tmp_path.rglob("*") if "plain" not in path.parts) == before


def raising(error: BaseException) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        raise error

    return call


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), LlmcliError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_what_fails_on_the_way_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    existed: bool,
    error: BaseException,
    kind: type[BaseException],
) -> None:
    folder, out = checked(write_tiny_llama(tmp_path / "plain")), tmp_path / "out"
    if existed:
        out.mkdir()
    monkeypatch.setattr(saving, "_copy", raising(error))  # of the first norm, after W_E
    with pytest.raises(kind) as caught:
        quantize(folder, "int8", out)
    if kind is LlmcliError:
        assert str(caught.value) == f"{out} cannot be written: No space left on device"
    assert not list(out.iterdir()) if existed else not out.exists()


def test_a_disk_without_room_is_seen_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checked(write_tiny_llama(tmp_path / "plain"))
    usage = shutil.disk_usage(tmp_path)._replace(free=20_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(saving, "_write_rounded", raising(AssertionError()))
    with pytest.raises(LlmcliError, match=r"out needs 0.00 GiB, and its disk has 0.00 GiB free"):
        quantize(folder, "int8", tmp_path / "out")
    assert not (tmp_path / "out").exists()


KILLED = """
import os, sys
from pathlib import Path
from llmcli.checkpoint import new_folder
from llmcli.cli.app import run

def rename(path, target):
    if target.name == "config.json":
        os._exit(9)
    os.replace(path, target)

new_folder.Path.rename = rename
run(sys.argv[1:])
"""


def test_a_killed_run_leaves_no_folder_that_passes_for_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the worst moment: all but the last file have their names."""
    folder, out = write_tiny_llama(tmp_path / "plain"), tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, "quantize", str(folder), str(out)])
    assert done.returncode == 9
    assert (out / "model.safetensors").exists()
    assert run(["inspect", str(out)]) == 4
    assert "config.json: there is no such file" in capsys.readouterr().err


Q_PROJ = "model.layers.1.self_attn.q_proj"
Change = dict[str, torch.Tensor | None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{Q_PROJ}.scales": None}, f"{Q_PROJ}.scales is missing"),
        ({f"{Q_PROJ}.codes": None}, f"{Q_PROJ}.codes is missing"),
        ({"model.embed_tokens.scales": None}, "model.embed_tokens.scales is missing"),
        ({f"{Q_PROJ}.codes": torch.zeros(32, 16).char()}, "codes has dtype I8, not U8"),
        ({f"{Q_PROJ}.codes": torch.zeros(32, 32).byte()}, r"codes is \[32, 32\], .* \[32, 16\]"),
        ({f"{Q_PROJ}.scales": torch.zeros(32, 1)}, "scales has dtype F32, not F16"),
        ({f"{Q_PROJ}.scales": torch.zeros(32, 2).half()}, r"scales is \[32, 2\], .* \[32, 1\]"),
        ({"model.norm.weight": torch.zeros(32).byte()}, "has dtype U8, not floating point"),
        (
            {f"{Q_PROJ}.codes": None, f"{Q_PROJ}.weight": torch.zeros(32, 32)},
            f"{Q_PROJ}.codes is missing",
        ),
    ],
)
def test_damage_that_headers_show(tmp_path: Path, change: Change, message: str) -> None:
    quantize(checked(write_tiny_llama(tmp_path / "plain")), "int4", tmp_path / "out")
    file = tmp_path / "out" / "model.safetensors"
    tensors = load_file(file)
    for name, tensor in change.items():
        tensors.pop(name, None)
        if tensor is not None:
            tensors[name] = tensor
    save_file(tensors, file)
    with pytest.raises(InvalidModelError, match=message):
        checked(tmp_path / "out")


def test_other_schemes_do_not_read_the_files(tmp_path: Path) -> None:
    """Nor does a config.json that says nothing of the rounding."""
    quantize(checked(write_tiny_llama(tmp_path / "plain")), "int4", tmp_path / "out")
    file = tmp_path / "out" / "config.json"
    config = json.loads(file.read_text())
    scheme = config["quantization_config"]
    write_json(file, {**config, "quantization_config": {**scheme, "bits": 8, "group_size": -1}})
    with pytest.raises(
        InvalidModelError, match=r"codes is \[32, 16\], config.json says \[32, 32\]"
    ):
        checked(tmp_path / "out")
    write_json(file, {**config, "quantization_config": None})
    with pytest.raises(InvalidModelError, match=r"weight is missing.*hold.*codes") as error:
        checked(tmp_path / "out")
    assert "quantization_config" in str(error.value.hint)


def test_sixteen_bit_sources_are_rounded_alike(tmp_path: Path) -> None:
    """fp16 and fp64 files too, which no kernel reads as they are."""
    weights = random_weights(LLAMA, seed=1)
    saved = {}
    for dtype in (torch.float16, torch.float32, torch.float64):
        folder = tmp_path / str(dtype)
        folder.mkdir()
        write_json(folder / "config.json", LLAMA)
        tensors = {name: tensor.half().to(dtype) for name, tensor in weights.items()}
        save_file(tensors, folder / "model.safetensors")
        saved[dtype] = load_file(save(folder, "int4", folder / "out") / "model.safetensors")
    for name, tensor in saved[torch.float32].items():
        for other in saved.values():
            assert torch.equal(other[name].to(tensor.dtype), tensor)
