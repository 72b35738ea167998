"""Sums by what tensors share, and components held against byte offsets."""

import dataclasses
from pathlib import Path

from shapes import LLAMA3_8B, SMALL, write_shape

from llmcli.checkpoint.headers import read_folder
from llmcli.checkpoint.store import resolve
from llmcli.views.inspection import Inspection, inspect
from llmcli.views.subtotals import check_headers, subtotals


def report_of(path: Path) -> Inspection:
    return inspect(resolve(str(path)))


def test_every_way_to_sum_comes_to_the_totals(tmp_path: Path) -> None:
    report = report_of(write_shape(tmp_path, LLAMA3_8B, n_shards=4))
    for by in ("component", "dtype", "file"):
        rows = subtotals(report.tensors, by).rows
        assert sum(row.tensors for row in rows) == 291
        assert sum(row.parameters for row in rows) == 8_030_261_248
        assert sum(row.bytes for row in rows) == 16_060_522_496
    components = subtotals(report.tensors, "component").rows
    assert [row.name for row in components] == [
        "embeddings",
        "attention",
        "mlp",
        "norms",
        "lm_head",
    ]
    assert len(subtotals(report.tensors, "file").rows) == 4


def test_dtypes_come_by_size(tmp_path: Path) -> None:
    mixed = {"model.norm.weight": ("F32", (32,))}
    rows = subtotals(report_of(write_shape(tmp_path, SMALL, changed=mixed)).tensors, "dtype").rows
    assert [(row.name, row.tensors, row.bytes) for row in rows][1] == ("F32", 1, 128)
    assert subtotals((), "dtype").rows == ()


def test_components_agree_with_the_bytes_of_each_dtype(tmp_path: Path) -> None:
    mixed = {"model.norm.weight": ("F32", (32,)), "odd": ("U8", (7,))}
    check = report_of(write_shape(tmp_path, SMALL, changed=mixed, n_shards=2)).check
    assert check.agrees
    assert [(part.dtype, part.values) for part in check.plain][1:] == [("F32", 32), ("U8", 7)]
    assert check.shards == 2


def test_a_component_that_is_counted_wrong_is_found(tmp_path: Path) -> None:
    folder = write_shape(tmp_path, SMALL)
    report, headers = report_of(folder), read_folder(folder)
    first, *rest = report.components
    wrong = [dataclasses.replace(first, parameters=first.parameters + 1), *rest]
    check = check_headers(headers, report.tensors, wrong, alone=False)
    assert not check.agrees
    assert check.component_sum == check.header_sum + 1
    assert check.shards is None


def test_what_is_packed_is_told_apart(tmp_path: Path) -> None:
    from packed import gptq, write_twins

    packed, plain = write_twins(tmp_path, gptq(4, 32))
    check = report_of(packed).check
    assert check.agrees
    assert check.packed_bytes > 0
    assert check.component_sum == report_of(plain).check.component_sum
