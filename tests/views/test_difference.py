"""What differs between two models, by headers and config.json."""

from pathlib import Path

import pytest
from shapes import SMALL, write_shape

from llmcli.checkpoint.store import Source
from llmcli.views import inspection
from llmcli.views.difference import (
    FieldDifference,
    Stored,
    TensorDifference,
    compare,
    fold,
)


def source(folder: Path) -> Source:
    return Source("folder", str(folder), folder, None)


def test_equal_models_have_no_difference(tmp_path: Path) -> None:
    a, b = write_shape(tmp_path / "a", SMALL), write_shape(tmp_path / "b", SMALL, n_shards=2)
    told = compare(source(a), source(b))
    assert told.equal and told.config_compared
    assert (told.tensors, told.config) == ((), ())
    assert (told.a.tensors, told.a.parameters) == (told.b.tensors, told.b.parameters)


def test_tensors_added_removed_and_changed_are_told_by_name(tmp_path: Path) -> None:
    norm, bias = "model.norm.weight", "model.layers.3.self_attn.q_proj.bias"
    a = write_shape(tmp_path / "a", SMALL, changed={"old.scale": ("F32", ())})
    b = write_shape(tmp_path / "b", SMALL, changed={norm: ("F32", (32,)), bias: ("BF16", (32,))})
    told = compare(source(a), source(b))
    assert set(told.tensors) == {
        TensorDifference("old.scale", "removed", None, Stored((), "F32"), None),
        TensorDifference(norm, "changed", None, Stored((32,), "BF16"), Stored((32,), "F32")),
        TensorDifference(bias, "added", 3, None, Stored((32,), "BF16")),
    }
    assert not told.equal
    assert told.b.tensors - told.a.tensors == 0
    assert told.b.bytes - told.a.bytes == 2 * 32 + 2 * 32 - 4


def test_equal_differences_of_layers_are_folded(tmp_path: Path) -> None:
    a = write_shape(tmp_path / "a", SMALL)
    b = write_shape(tmp_path / "b", {**SMALL, "intermediate_size": 64})
    odd = "model.layers.2.mlp.up_proj.weight"
    told = compare(source(a), source(b)).tensors
    folded = {row.name: row for row in fold(told)}
    up = folded[("model.layers", "mlp.up_proj.weight")]
    assert len(told) == 15 and len(folded) == 3
    assert (up.layers, up.a, up.b) == (
        (0, 1, 2, 3, 4),
        Stored((48, 32), "BF16"),
        Stored((64, 32), "BF16"),
    )
    kept = [each for each in told if each.name != odd]
    assert {row.name: row.layers for row in fold(kept)}[up.name] == (0, 1, 3, 4)


def test_fields_are_told_by_path_and_null_is_not_missing(tmp_path: Path) -> None:
    scaling = {"rope_type": "linear", "factor": 2.0}
    one = {**SMALL, "rope_scaling": scaling, "eos_token_id": [1, 2], "note": None, "use_cache": 1}
    two = {**SMALL, "rope_scaling": {**scaling, "factor": 4.0}, "eos_token_id": [1]}
    two |= {"use_cache": True, "rope_theta": 10000}
    a, b = write_shape(tmp_path / "a", one), write_shape(tmp_path / "b", SMALL)
    before = compare(source(a), source(b))
    assert FieldDifference("rope_scaling", "removed", scaling, None) in before.config
    told = compare(source(a), source(write_shape(tmp_path / "c", two)))
    assert told.config == (
        FieldDifference("rope_scaling.factor", "changed", 2.0, 4.0),
        FieldDifference("eos_token_id", "changed", [1, 2], [1]),
        FieldDifference("note", "removed", None, None),
        FieldDifference("use_cache", "changed", 1, True),
        FieldDifference("rope_theta", "added", None, 10000),
    )
    assert told.tensors == () and not told.equal


def test_a_file_alone_has_no_config_to_compare(tmp_path: Path) -> None:
    a, b = write_shape(tmp_path / "a", SMALL), write_shape(tmp_path / "b", SMALL)
    (b / "config.json").unlink()
    file = b / "model.safetensors"
    told = compare(source(a), Source("file", str(file), b, None))
    assert told.equal and not told.config_compared


def test_no_tree_of_modules_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def build(*_: object) -> None:
        raise AssertionError("a comparison needs no tree")

    monkeypatch.setattr(inspection, "module_tree", build)
    folder = source(write_shape(tmp_path / "a", SMALL))
    with pytest.raises(AssertionError, match="no tree"):
        inspection.inspect(folder)
    assert compare(folder, folder).equal
