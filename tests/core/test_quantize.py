"""Rounding of matrices: how much is lost, and that both ways of doing it agree."""

import pytest
import torch

from llmcli.core import ops
from llmcli.core.packing import unpack_codes
from llmcli.core.quantize import quantize
from llmcli.core.schemes import SCHEMES, Name

NATIVE = ops.available_kernels()[1:]
# Relative to the matrix, of normal numbers: the step's uniform error, 1 / sqrt(12) of it. A row of
# 500 has its largest number near 3.2 sd, one of 128 steps; a group of 32 near 2.2 sd, one of 8.
ERRORS: dict[Name, float] = {"int8": 0.0085, "int4": 0.09}


def matrix(rows: int, columns: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    random = torch.Generator().manual_seed(rows)
    return (torch.randn(rows, columns, generator=random) * 0.02).to(dtype)


@pytest.fixture(params=ops.available_kernels())
def kernels(request: pytest.FixtureRequest):
    before = ops.kernels()
    ops.use_kernels(request.param)
    yield
    ops.use_kernels(before)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("rows", "columns"), [(16, 512), (300, 500), (1, 33)])
def test_what_rounding_loses(
    kernels: None, name: Name, dtype: torch.dtype, rows: int, columns: int
) -> None:
    weight = matrix(rows, columns, dtype)
    rounded = quantize(weight, SCHEMES[name]).dequantize()
    assert rounded.shape == weight.shape
    assert float((rounded - weight).norm() / weight.float().norm()) < ERRORS[name]


@pytest.mark.parametrize("name", SCHEMES)
def test_what_the_codes_can_say_is_kept_exactly(kernels: None, name: Name) -> None:
    scheme = SCHEMES[name]
    middle = 1 << (scheme.bits - 1)
    random = torch.Generator().manual_seed(0)
    codes = torch.randint(-middle, middle, (40, 64), generator=random)
    codes[:, ::32] = -middle
    weight = codes * 0.125
    assert torch.equal(quantize(weight, scheme).dequantize(), weight)


@pytest.mark.parametrize("name", SCHEMES)
def test_zeros_stay_zeros(kernels: None, name: Name) -> None:
    assert (quantize(torch.zeros(20, 40), SCHEMES[name]).dequantize() == 0).all()


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("name", SCHEMES)
def test_both_ways_agree(native: str, name: Name) -> None:
    """Code by code, but where two scales err alike to the last bit."""
    weight, before, found = matrix(160, 500), ops.kernels(), {}
    for kernels in ("torch", native):
        ops.use_kernels(kernels)
        found[kernels] = quantize(weight, SCHEMES[name])
    ops.use_kernels(before)
    ours, theirs = (unpack_codes(found[way].codes, SCHEMES[name].bits, 500) for way in found)
    equal = (ours == theirs).float().mean()
    assert equal > 0.999
    if name == "int8":
        assert equal == 1 and torch.equal(found[native].scales, found["torch"].scales)


def test_memory_is_what_the_schemes_say() -> None:
    weight = matrix(160, 512)
    assert quantize(weight, SCHEMES["int8"]).nbytes == 160 * (512 + 2)
    assert quantize(weight, SCHEMES["int4"]).nbytes == 160 * (512 // 2 + 2 * 512 // 32)
