"""The whole report: of folders, of single files, and of what contradicts itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from shapes import LLAMA2_7B, LLAMA3_8B, SMALL, SMOLLM2_135M, write_hollow, write_shape

from llmcli.checkpoint.store import Source, resolve
from llmcli.errors import InvalidModelError
from llmcli.views.inspection import Attention, Inspection, ReadFrom, inspect


def report_of(path: Path) -> Inspection:
    return inspect(resolve(str(path)))


def test_a_folder_is_told_whole(tmp_path):
    report = report_of(write_shape(tmp_path, SMOLLM2_135M))
    assert (report.family, report.dtype, report.tied) == ("llama", "bf16", True)
    assert (report.context, report.vocab_size, report.layers) == (8192, 49152, 30)
    assert report.attention == Attention("GQA", 9, 3, 64, 3)
    assert [reused.name for reused in report.reused] == ["lm_head.weight"]
    assert report.reused[0].reuses == "model.embed_tokens.weight"
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("config", "kind", "sharing"),
    [
        (SMOLLM2_135M, "GQA", 3),
        (LLAMA3_8B, "GQA", 4),
        (LLAMA2_7B, "MHA", 1),
        ({**SMALL, "num_key_value_heads": 1}, "MQA", 4),
    ],
)
def test_attention_kinds(tmp_path, config: dict[str, Any], kind: str, sharing: int):
    attention = report_of(write_shape(tmp_path, config)).attention
    assert attention is not None
    assert (attention.kind, attention.sharing) == (kind, sharing)


def test_only_headers_are_read(tmp_path):
    report = report_of(write_shape(tmp_path, SMALL, n_shards=3))
    lengths = []
    for file in tmp_path.glob("*.safetensors"):
        with file.open("rb") as opened:
            lengths.append(8 + int.from_bytes(opened.read(8), "little"))
    assert report.source == ReadFrom("folder", 0, sum(lengths), None)


def test_one_file_and_three_shards_tell_the_same(tmp_path):
    whole = report_of(write_shape(tmp_path / "whole", SMALL))
    parts = report_of(write_shape(tmp_path / "parts", SMALL, n_shards=3))
    assert parts.totals == whole.totals
    assert parts.components == whole.components
    assert [group.name for group in parts.groups] == [group.name for group in whole.groups]


def test_real_files_single_and_sharded(shared_data):
    whole = report_of(shared_data / "stories260K")
    parts = report_of(shared_data / "stories260K-sharded")
    assert whole.totals.parameters == 260_032
    assert whole.dtype == "fp32"
    assert parts.totals == whole.totals
    assert parts.components == whole.components
    assert len({tensor.file for tensor in parts.tensors}) == 3
    assert whole.attention == Attention("GQA", 8, 4, 8, 2)


def test_strangers_are_warned_of_and_harmless_ones_are_not(tmp_path):
    more = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", (4,)),
        **{f"odd.{letter}": ("F32", (1,)) for letter in "abcd"},
    }
    report = report_of(write_shape(tmp_path, SMALL, changed=more))
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith("4 tensors have no place in the family llama")
    assert report.warnings[0].endswith("odd.a, odd.b, odd.c, ...")


def test_a_stored_copy_of_the_tied_head_is_warned_of(tmp_path):
    head = {"lm_head.weight": ("BF16", (96, 32))}
    report = report_of(write_shape(tmp_path, SMALL, changed=head))
    assert report.reused == ()
    assert any("lm_head.weight is stored" in warning for warning in report.warnings)


def test_the_dtype_that_holds_most_is_the_models(tmp_path):
    norms = {"model.norm.weight": ("F32", (32,))}
    assert report_of(write_shape(tmp_path / "a", SMALL, changed=norms)).dtype == "bf16"
    assert report_of(write_shape(tmp_path / "b", SMALL, dtype="F16")).dtype == "fp16"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"without": ("model.layers.3.mlp.up_proj.weight",)}, "up_proj.weight is missing"),
        (
            {"changed": {"model.layers.0.self_attn.q_proj.weight": ("BF16", (16, 32))}},
            r"q_proj.weight is \[16, 32\], config.json says \[32, 32\]",
        ),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused(tmp_path, fault, told):
    folder = write_shape(tmp_path, SMALL, **fault)
    with pytest.raises(InvalidModelError, match=told) as caught:
        report_of(folder)
    assert f"llmcli inspect {folder / 'model.safetensors'}" in (caught.value.hint or "")


def test_an_unknown_family_is_listed_by_its_headers(tmp_path):
    known = report_of(write_shape(tmp_path / "known", SMALL))
    report = report_of(write_shape(tmp_path / "unknown", {**SMALL, "model_type": "mamba"}))
    assert (report.family, report.tied, report.attention, report.kv_cache) == (None,) * 4
    assert report.totals.parameters == known.totals.parameters
    assert [group.name for group in report.groups] == [None, "model.layers.0-4", None]
    (warning,) = report.warnings
    assert "config.json: model_type 'mamba' is none that llmcli runs" in warning


def test_a_file_alone_is_listed_and_nothing_is_made_up(tmp_path):
    path = write_hollow(
        tmp_path / "lora.safetensors", [("a.weight", "F32", (4, 8)), ("b.weight", "F16", (2,))]
    )
    report = report_of(path)
    assert report.model == str(path)
    assert (report.family, report.tied, report.attention, report.kv_cache) == (None,) * 4
    assert {tensor.concept for tensor in report.tensors} == {None}
    assert [row.component for row in report.components] == ["other"]
    assert report.totals.parameters == report.totals.non_embedding_parameters == 34
    assert report.totals.bytes == 4 * 32 + 4
    assert report.source.kind == "file"
    assert report.warnings == ()


def test_a_file_without_tensors_is_listed(tmp_path):
    report = report_of(write_hollow(tmp_path / "none.safetensors", []))
    assert (report.totals.tensors, report.dtype, report.tensors) == (0, None, ())


def test_a_shard_takes_its_names_from_the_config_beside_it(tmp_path):
    folder = write_shape(tmp_path, SMALL, n_shards=3)
    report = report_of(folder / "model-00001-of-00003.safetensors")
    assert report.family == "llama"
    assert report.tensors[0].concept == "W_E"
    assert len(report.tensors) == 16
    assert "31 of the 47 tensors" in report.warnings[0]


def test_a_file_is_listed_though_the_config_beside_it_contradicts(tmp_path):
    odd = {"model.layers.0.self_attn.q_proj.weight": ("BF16", (16, 32))}
    folder = write_shape(tmp_path, SMALL, changed=odd)
    report = report_of(folder / "model.safetensors")
    tensor = next(tensor for tensor in report.tensors if tensor.name in odd)
    assert (tensor.concept, tensor.component, tensor.layer) == (None, "other", 0)
    assert "[16, 32], not [32, 32]" in " ".join(report.warnings)


def test_a_file_is_listed_though_the_config_beside_it_is_none_of_ours(tmp_path):
    for model_type, told in (("mamba", "none that llmcli runs"), (3, "left aside")):
        folder = write_shape(tmp_path, {**SMALL, "model_type": model_type})
        report = report_of(folder / "model.safetensors")
        assert report.family is None
        assert report.totals.tensors == 47
        assert told in report.warnings[0]


def test_a_damaged_file_is_refused(tmp_path):
    folder = write_shape(tmp_path, SMALL)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    for path in (folder, weights):
        with pytest.raises(InvalidModelError, match=r"model\.safetensors"):
            report_of(path)


def test_a_hub_commit_is_passed_on(tmp_path):
    folder = write_shape(tmp_path, SMALL)
    report = inspect(Source("hub", "org/name", folder, "c0ffee"))
    assert (report.model, report.source.kind, report.source.commit) == (
        "org/name",
        "hub",
        "c0ffee",
    )


def test_a_broken_config_is_refused(tmp_path):
    folder = write_shape(tmp_path, SMALL)
    (folder / "config.json").write_text(json.dumps({**SMALL, "num_hidden_layers": 10**9}))
    with pytest.raises(InvalidModelError, match="num_hidden_layers"):
        report_of(folder)
