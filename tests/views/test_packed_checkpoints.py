"""Checkpoints that the core does not run: packed matrices count as what they stand for, what is not
known is called unknown, and a family that is not in the table is listed by its headers."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import packings
import pytest
from packings import METHODS, Packer, Stored
from shapes import BYTES, LLAMA2_7B, llama_tensors, write_hollow

from llmcli.checkpoint.store import resolve
from llmcli.views.inspection import Inspection, inspect

# One of the shapes above, narrower; the layers have every kind of matrix.
CONFIG = {**LLAMA2_7B, "num_hidden_layers": 2, "num_key_value_heads": 8}
PARAMETERS = sum(math.prod(shape) for _, shape in llama_tensors(CONFIG))


def packed(config: dict[str, Any], packer: Packer) -> list[Stored]:
    stored: list[Stored] = []
    for name, shape in llama_tensors(config):
        if "_proj" in name:
            stored += packer(name.removesuffix(".weight"), *shape)
        else:
            stored.append((name, "BF16", shape))
    return stored


def write(folder: Path, config: dict[str, Any], declared: Any, stored: Iterable[Stored]) -> Path:
    text = json.dumps({**config, "quantization_config": declared})
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(text, encoding="utf-8")
    write_hollow(folder / "model.safetensors", list(stored))
    return folder


def report_of(path: Path) -> Inspection:
    return inspect(resolve(str(path)))


@pytest.mark.parametrize("method", METHODS)
def test_a_known_family_counts_as_its_config_says(tmp_path, method):
    declared, packer, label = METHODS[method]
    stored = packed(CONFIG, packer)
    report = report_of(write(tmp_path, CONFIG, declared, stored))
    assert report.totals.parameters == report.totals.stored_parameters == PARAMETERS
    assert sum(row.parameters for row in report.components) == PARAMETERS
    assert (report.family, report.quantized, report.dtype) == ("llama", label, "bf16")
    assert report.uncounted == ()
    assert report.totals.bytes == sum(math.prod(shape) * BYTES[dtype] for _, dtype, shape in stored)
    assert {tensor.component for tensor in report.tensors} == {
        "embeddings",
        "attention",
        "mlp",
        "norms",
        "lm_head",
    }
    (warning,) = report.warnings
    assert warning.startswith("listed, but not run: ")
    names = {tensor.name: tensor for tensor in report.tensors}
    assert names.keys() == {name for name, *_ in stored}
    for name, *_ in stored:
        if ".1.self_attn.k_proj." not in name:
            continue
        tensor = names[name]
        values = tensor.parameters > 0
        assert tensor.parameter_shape == ((1024, 4096) if values else None)
        assert tensor.concept == "W_K" if values else tensor.concept.startswith("W_K ")


@pytest.mark.parametrize("method", METHODS)
def test_the_layers_fold_and_keep_their_order(tmp_path, method):
    declared, packer, _ = METHODS[method]
    report = report_of(write(tmp_path, CONFIG, declared, packed(CONFIG, packer)))
    assert [group.name for group in report.groups] == [None, "model.layers.0-1", None]
    concepts = [row.concept.split()[0] for row in report.groups[1].tensors]
    assert list(dict.fromkeys(concepts)) == [
        *("norm1", "W_Q", "W_K", "W_V", "W_O"),
        *("norm2", "W_gate", "W_up", "W_down"),
    ]
    # Of each matrix, the values come first.
    for concept in dict.fromkeys(concepts):
        rows = [row for row in report.groups[1].tensors if row.concept.split()[0] == concept]
        assert rows[0].concept == concept
        assert sum(row.parameters > 0 for row in rows) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_matrix_of_another_size_is_unknown_and_named(tmp_path, method):
    declared, packer, _ = METHODS[method]
    name = "model.layers.1.mlp.down_proj"
    stored = [each for each in packed(CONFIG, packer) if not each[0].startswith(name)]
    stored += packer(name, 2048, 11008)
    report = report_of(write(tmp_path, CONFIG, declared, stored))
    assert report.totals.parameters == PARAMETERS - 4096 * 11008
    (unknown,) = report.uncounted
    assert unknown.startswith(name)
    assert "parameters of 1 packed tensors are unknown and not counted" in report.warnings[-1]
    assert unknown in report.warnings[-1]


def expert_tensors(packer: Packer) -> tuple[list[Stored], int]:
    """A mixture of experts as no family of the table has it, and its parameters."""
    stored: list[Stored] = [("model.embed_tokens.weight", "BF16", (1000, 256))]
    count = 1000 * 256
    for layer in range(2):
        block = f"model.layers.{layer}"
        stored.append((f"{block}.mlp.gate.weight", "F32", (4, 256)))
        count += 4 * 256
        for expert in range(4):
            for name, rows, columns in (("up", 512, 256), ("down", 256, 512)):
                stored += packer(f"{block}.mlp.experts.{expert}.{name}_proj", rows, columns)
                count += rows * columns
    return stored, count


@pytest.mark.parametrize("method", [each for each in METHODS if each not in ("w8a16", "gemv")])
def test_an_unknown_family_counts_as_the_parts_agree(tmp_path, method):
    declared, packer, label = METHODS[method]
    stored, count = expert_tensors(packer)
    report = report_of(write(tmp_path, {"model_type": "some_moe"}, declared, stored))
    assert report.totals.parameters == count
    assert (report.family, report.quantized, report.uncounted) == (None, label, ())
    assert report.totals.tensors == len(stored)
    assert any("some_moe" in warning for warning in report.warnings)


def test_rows_of_one_scale_do_not_tell_their_width(tmp_path):
    """A packed row may end in a gap: 254 columns of 8 bits take as many words as 256."""
    stored, _ = expert_tensors(packings.pack_quantized(8, None))
    report = report_of(write(tmp_path, {"model_type": "some_moe"}, packings.W8A16, stored))
    assert len(report.uncounted) == 16
    assert report.totals.parameters == 1000 * 256 + 2 * 4 * 256


def test_gpt_oss(tmp_path):
    """Two layers of gpt-oss-20b: 32 experts, 2880 wide, biases beside the blocks."""
    stored: list[Stored] = [("model.embed_tokens.weight", "BF16", (201088, 2880))]
    for layer in range(2):
        experts = f"model.layers.{layer}.mlp.experts"
        stored += packings.mxfp4_experts(f"{experts}.gate_up_proj", 32, 5760, 2880)
        stored += packings.mxfp4_experts(f"{experts}.down_proj", 32, 2880, 2880)
        stored.append((f"model.layers.{layer}.self_attn.sinks", "BF16", (64,)))
    report = report_of(write(tmp_path, {"model_type": "gpt_oss"}, packings.MXFP4, stored))
    layer = 32 * (5760 * 2880 + 5760 + 2880 * 2880 + 2880) + 64
    assert report.totals.parameters == 201088 * 2880 + 2 * layer
    assert (report.quantized, report.dtype) == ("mxfp4, groups of 32", "bf16")
    blocks = next(
        tensor for tensor in report.tensors if tensor.name.endswith("gate_up_proj_blocks")
    )
    assert blocks.parameter_shape == (32, 5760, 2880)
    assert blocks.bytes == 32 * 5760 * 2880 // 2


def test_fp8_experts_that_are_one_tensor(tmp_path):
    """Scales stand behind the parameter's own name, which does not end in `.weight`."""
    name = "model.layers.0.mlp.experts.gate_up_proj"
    stored = [(name, "F8_E4M3", (8, 256, 128)), (f"{name}_scale_inv", "F32", (8, 2, 1))]
    report = report_of(write(tmp_path, {"model_type": "some_moe"}, packings.FP8, stored))
    assert (report.totals.parameters, report.uncounted) == (8 * 256 * 128, ())


def test_scales_of_the_cache_are_no_parameters(tmp_path):
    stored = packed(CONFIG, packings.fp8_blocks)
    stored += [(f"model.layers.0.self_attn.{kind}_scale", "F32", (1,)) for kind in "kv"]
    report = report_of(write(tmp_path, CONFIG, packings.FP8, stored))
    assert report.totals.stored_parameters == PARAMETERS


@pytest.mark.parametrize(
    "declared",
    [
        {"quant_method": "aqlm", "nbits_per_codebook": 16},
        {"quant_method": "hqq", "bits": 4},
        compressed_without_values := packings.compressed("sparse-24-bitmask", num_bits=8),
    ],
    ids=["aqlm", "hqq", "sparse"],
)
def test_a_layout_that_is_not_known_is_unknown_in_any_family(tmp_path, declared):
    def packer(name: str, rows: int, columns: int) -> list[Stored]:
        codes = (f"{name}.codes", "I16", (rows, columns // 8))
        return [codes, (f"{name}.codebooks", "F16", (1, 65536, 1, 8))]

    stored = packed(CONFIG, packer)
    report = report_of(write(tmp_path / "llama", CONFIG, declared, stored))
    assert len(report.uncounted) == 2 * 7 * 2
    assert report.totals.parameters == PARAMETERS - sum(
        math.prod(shape) for name, shape in llama_tensors(CONFIG) if "_proj" in name
    )
    assert "W_Q" in {(tensor.concept or "").split(" ")[0] for tensor in report.tensors}
    stored, count = expert_tensors(packer)
    report = report_of(write(tmp_path / "moe", {"model_type": "some_moe"}, declared, stored))
    assert len(report.uncounted) == 2 * 4 * 2 * 2
    assert report.totals.parameters == count - 2 * 4 * 2 * 512 * 256


def test_a_missing_matrix_is_still_an_error(tmp_path):
    from llmcli.errors import InvalidModelError

    gone = "model.layers.1.mlp.up_proj"
    stored = [each for each in packed(CONFIG, packings.fp8_blocks) if not each[0].startswith(gone)]
    with pytest.raises(InvalidModelError, match=f"{gone}.weight is missing"):
        report_of(write(tmp_path, CONFIG, packings.FP8, stored))


def test_one_file_counts_like_its_folder(tmp_path):
    stored = packed(CONFIG, packings.bitsandbytes_4bit)
    folder = write(tmp_path, CONFIG, packings.BNB4, stored)
    alone, whole = report_of(folder / "model.safetensors"), report_of(folder)
    assert alone.totals == whole.totals
    assert alone.warnings == whole.warnings


@pytest.mark.parametrize(
    "declared",
    [[], "gptq", {}, {"quant_method": None}, {"quant_method": 4}],
)
def test_a_declaration_that_names_no_method_is_refused(tmp_path, declared):
    from llmcli.errors import InvalidModelError

    with pytest.raises(InvalidModelError, match="quantization_config"):
        report_of(write(tmp_path, CONFIG, declared or [1], packed(CONFIG, packings.fp8_blocks)))


@pytest.mark.parametrize(
    "declared",
    [
        {"quant_method": "gptq", "bits": "four"},
        {"quant_method": "bitsandbytes"},
        {"quant_method": "compressed-tensors", "config_groups": {"a": 3, "b": {"weights": []}}},
        {"quant_method": "compressed-tensors", "config_groups": []},
        {"quant_method": "fp8", "weight_block_size": ["x"]},
        {"quant_method": "\x1b[2J" * 50},
        {"quant_method": "gptq", "bits": 0, "group_size": -1},
        {"quant_method": "awq", "bits": 10**12, "group_size": True},
    ],
)
@pytest.mark.parametrize("model", [CONFIG, {"model_type": "some_moe"}], ids=["llama", "moe"])
def test_odd_declarations_never_fail_and_what_counts_too_much_is_told(tmp_path, declared, model):
    for number, (name, (_, packer, _)) in enumerate(METHODS.items()):
        if (
            name == "bnb in bf16"
        ):  # floats of a wrong shape, where nothing says that they are packed
            continue
        stored = packed(CONFIG, packer)
        report = report_of(write(tmp_path / str(number), model, declared, stored))
        if report.family is not None:
            strangers = any("have no place in the family" in told for told in report.warnings)
            assert report.totals.parameters <= PARAMETERS or strangers, name
        assert len(report.quantized or "") < 100
