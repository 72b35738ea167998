"""Statistics of weights, held against Python's own, on the numbers that go wrong."""

import json
import math
import statistics
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from llmcli.checkpoint.store import Source
from llmcli.errors import InvalidModelError
from llmcli.views.statistics import TensorStats, tensor_stats

NAN, INF = math.nan, math.inf
PIECE = 4  # values: tensors of more are read in several pieces
TENSORS = {
    "f64": torch.tensor([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16, 1e9, 1e9 + 1], dtype=torch.float64),
    "f32": torch.tensor([[0.0, -0.0, 1.5], [NAN, INF, -INF], [-2.25, 8.0, NAN]]),
    "f16": torch.tensor([65504.0, -65504.0, 6e-8, 0.0, 1.0], dtype=torch.float16),
    "bf16": torch.linspace(-3, 5, 11).bfloat16(),
    "e4m3": torch.tensor([448.0, -0.5, 0.0, NAN, 2.0, 0.25]).to(torch.float8_e4m3fn),
    "e5m2": torch.tensor([57344.0, INF, NAN, 1.0, 0.0]).to(torch.float8_e5m2),
    "i8": torch.tensor([-128, 127, 0, 5, -1], dtype=torch.int8),
    "u8": torch.tensor([255, 0, 0, 17, 4], dtype=torch.uint8),
    "i16": torch.tensor([-32768, 32767, 3], dtype=torch.int16),
    "i32": torch.tensor([-(2**31), 2**31 - 1, 0, 7, 9], dtype=torch.int32),
    "i64": torch.tensor([2**53 + 1, 2**53 + 3], dtype=torch.int64),
    "bool": torch.tensor([True, False, True, True, False]),
    "scalar": torch.tensor(0.1),
    "one piece is NaN": torch.tensor([NAN] * 4 + [1.0, 2.0, 6.0]),
}


def of_file(path: Path, *names: str) -> list[TensorStats]:
    source = Source("file", str(path), path.parent, None)
    return list(tensor_stats(source, names, progress=lambda _: None, piece_values=PIECE))


@pytest.mark.parametrize("name", TENSORS)
def test_the_figures_are_those_of_plain_arithmetic(name: str, tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "m.safetensors")
    (told,) = of_file(tmp_path / "m.safetensors", name)
    tensor = TENSORS[name]
    exact = tensor.flatten() if not tensor.is_floating_point() else tensor.double().flatten()
    values = exact.tolist()
    finite = [value for value in values if math.isfinite(value)]
    assert (told.min, told.max) == (min(finite), max(finite))
    assert told.mean == pytest.approx(statistics.fmean(finite), rel=1e-14)
    assert told.sd == pytest.approx(statistics.pstdev(map(float, finite)), rel=1e-12)
    assert told.zeros == values.count(0)
    assert told.nan == sum(map(math.isnan, values))
    assert told.infinite == sum(map(math.isinf, values))


def test_without_a_finite_value_there_is_no_mean(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save_file({"none": torch.zeros(0, 3), "nan": torch.tensor([NAN, INF])}, file)
    empty, flawed = of_file(file, "none", "nan")
    assert empty == TensorStats("none", None, None, None, None, 0, 0, 0)
    assert flawed == TensorStats("nan", None, None, None, None, 0, 1, 1)


def test_what_fp64_does_not_hold_is_none_and_not_infinite(tmp_path: Path) -> None:
    most = torch.finfo(torch.float64).max
    save_file({"w": torch.tensor([most] * 6, dtype=torch.float64)}, tmp_path / "m.safetensors")
    (told,) = of_file(tmp_path / "m.safetensors", "w")
    assert (told.max, told.mean, told.sd, told.infinite) == (most, None, None, 0)


def test_other_dtypes_are_unknown(tmp_path: Path) -> None:
    header = {"w": {"dtype": "F8_E8M0", "shape": [3], "data_offsets": [0, 3]}}
    text = json.dumps(header).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"abc")
    assert of_file(tmp_path / "m.safetensors", "w") == [TensorStats("w")]


def test_shards_are_read_each_from_its_file_and_told_in_the_order_asked_for(
    tmp_path: Path,
) -> None:
    weight_map = {}
    for number, name in enumerate(("b", "a", "c")):
        file = f"model-{number}.safetensors"
        save_file({name: torch.full((5,), float(number))}, tmp_path / file)
        weight_map[name] = file
    index = {"weight_map": weight_map}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    source = Source("folder", str(tmp_path), tmp_path, None)
    read: list[int] = []
    told = tensor_stats(source, ["a", "c", "b"], progress=read.append, piece_values=PIECE)
    assert [(each.name, each.mean, each.sd) for each in told] == [
        ("a", 1.0, 0.0),
        ("c", 2.0, 0.0),
        ("b", 0.0, 0.0),
    ]
    assert read == [16, 4] * 3


def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save_file({"w": torch.ones(12)}, file)
    source = Source("file", str(file), tmp_path, None)

    def cut(_: int) -> None:
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size - 16)

    with pytest.raises(InvalidModelError, match="became shorter"):
        tensor_stats(source, ["w"], progress=cut, piece_values=PIECE)
