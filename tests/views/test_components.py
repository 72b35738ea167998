"""Published parameter counts, to the last one, and formulas that give them."""

from pathlib import Path
from typing import Any

import pytest
from shapes import LLAMA2_7B, LLAMA3_8B, SMALL, SMOLLM2_135M, write_shape

from llmcli.checkpoint.config_json import read_description
from llmcli.checkpoint.headers import read_folder
from llmcli.views.components import Component, Totals, count_components, count_totals
from llmcli.views.inventory import name_tensors


def count(folder: Path) -> tuple[dict[str, Component], Totals]:
    description = read_description(folder)
    tied = description.config.tied
    tensors = name_tensors(read_folder(folder), description)
    rows = count_components(tensors, tied=tied)
    return {row.component: row for row in rows}, count_totals(tensors, rows, tied=tied)


def evaluate(formula: str) -> int:
    """What a formula comes to, read as arithmetic."""
    return eval(formula.replace("·", "*").replace("×", "*"), {"__builtins__": {}})


def test_smollm2_135m(tmp_path):
    rows, totals = count(write_shape(tmp_path, SMOLLM2_135M))
    assert {name: row.parameters for name, row in rows.items()} == {
        "embeddings": 28_311_552,
        "attention": 26_542_080,
        "mlp": 79_626_240,
        "norms": 35_136,
        "lm_head": 0,
    }
    assert rows["attention"].formula == "30 × (2·576·576 + 2·192·576)"
    assert rows["mlp"].formula == "30 × 3·1536·576"
    assert rows["norms"].formula == "30 × 2·576 + 576"
    assert rows["lm_head"].formula == "reuses W_E"
    assert totals == Totals(
        tensors=272,
        parameters=134_515_008,
        stored_parameters=134_515_008,
        non_embedding_parameters=106_203_456,
        bytes=269_030_016,
    )


def test_llama_3_8b(tmp_path):
    rows, totals = count(write_shape(tmp_path, LLAMA3_8B, n_shards=4))
    assert {name: row.parameters for name, row in rows.items()} == {
        "embeddings": 525_336_576,
        "attention": 1_342_177_280,
        "mlp": 5_637_144_576,
        "norms": 266_240,
        "lm_head": 525_336_576,
    }
    assert totals.parameters == totals.stored_parameters == 8_030_261_248
    assert totals.non_embedding_parameters == 8_030_261_248 - 2 * 525_336_576
    assert totals.tensors == 291


@pytest.mark.parametrize("config", [SMOLLM2_135M, LLAMA3_8B, LLAMA2_7B, SMALL])
def test_formulas_come_to_the_counts_and_shares_to_one(tmp_path, config: dict[str, Any]):
    rows, totals = count(write_shape(tmp_path, config))
    for row in rows.values():
        if row.formula != "reuses W_E":
            assert row.formula is not None
            assert evaluate(row.formula) == row.parameters
    assert sum(row.parameters for row in rows.values()) == totals.stored_parameters
    assert sum(row.share for row in rows.values()) == pytest.approx(1.0)


def test_buffers_are_stored_and_are_not_parameters(tmp_path):
    buffers = {
        f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": ("F32", (64,)) for layer in range(32)
    }
    rows, totals = count(write_shape(tmp_path, LLAMA2_7B, dtype="F16", changed=buffers))
    assert totals.parameters == 6_738_415_616
    assert totals.stored_parameters == totals.parameters + 32 * 64
    assert rows["buffers"].formula == "32 × 64"
    assert totals.bytes == 2 * totals.parameters + 4 * 32 * 64


def test_a_stored_copy_of_the_tied_head_counts_once(tmp_path):
    head = {"lm_head.weight": ("BF16", (96, 32))}
    rows, totals = count(write_shape(tmp_path / "copy", SMALL, changed=head))
    _, plain = count(write_shape(tmp_path / "plain", SMALL))
    assert rows["lm_head"].parameters == 96 * 32
    assert totals.parameters == plain.parameters
    assert totals.stored_parameters == plain.stored_parameters + 96 * 32
    assert totals.non_embedding_parameters == plain.non_embedding_parameters


def test_an_untied_head_is_a_parameter_of_its_own(tmp_path):
    rows, totals = count(write_shape(tmp_path, {**SMALL, "tie_word_embeddings": False}))
    assert rows["lm_head"].parameters == 96 * 32
    assert totals.parameters == totals.stored_parameters


def test_what_no_one_claims_is_other(tmp_path):
    more = {"odd": ("F32", (2, 5))}
    rows, totals = count(write_shape(tmp_path, SMALL, changed=more))
    assert (rows["other"].parameters, rows["other"].formula) == (10, None)
    assert totals.parameters == totals.stored_parameters


def test_nothing_stored_has_no_shares():
    assert count_components((), tied=None) == ()
    assert count_totals((), (), tied=None) == Totals(0, 0, 0, 0, 0)
