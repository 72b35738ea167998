"""Linear maps: plain, quantized and joined ones keep one contract."""

import pytest
import torch
import torch.nn.functional as F

from llmcli.core.linear import (
    AnyLinear,
    JoinedLinear,
    Linear,
    QuantizedEmbedding,
    QuantizedLinear,
)

OUT, IN, GROUPS = 22, 64, 2


def quantized(
    bits: int, *, order: torch.Tensor | None = None, bias: torch.Tensor | None = None
) -> tuple[QuantizedLinear, torch.Tensor]:
    """A random map and its W by the formula, column by column."""
    random = torch.Generator().manual_seed(bits)
    codes = torch.randint(0, 2**bits, (OUT, IN), generator=random, dtype=torch.uint8)
    zeros = torch.randint(0, 2**bits, (OUT, GROUPS), generator=random, dtype=torch.uint8)
    scales = torch.rand(OUT, GROUPS, generator=random).half().float()
    linear = QuantizedLinear.of(
        codes, scales, zeros, bits=bits, group=IN // GROUPS, order=order, bias=bias
    )
    matrix = torch.empty(OUT, IN)
    for held in range(IN):
        column = held if order is None else int(order[held])
        group = held // (IN // GROUPS)
        matrix[:, column] = (codes[:, held].float() - zeros[:, group]) * scales[:, group]
    return linear, matrix


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_a_quantized_map_is_the_plain_map_of_its_matrix(
    bits: int, ordered: bool, biased: bool
) -> None:
    shuffled = torch.randperm(IN, generator=torch.Generator().manual_seed(1))
    order = shuffled if ordered else None
    bias = torch.arange(OUT).float() if biased else None
    linear, matrix = quantized(bits, order=order, bias=bias)
    assert (linear.in_features, linear.out_features) == (IN, OUT)
    assert torch.equal(linear.dequantize(), matrix)
    x = torch.randn(2, 3, IN, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(linear(x), F.linear(x, matrix, bias), rtol=1e-5, atol=5e-4)


def test_memory_holds_codes_and_no_matrix() -> None:
    four, eight = quantized(4)[0], quantized(8)[0]
    filled = 32  # whole tiles of 16 rows
    shared = filled * GROUPS * (1 + 2)
    assert four.nbytes == filled * IN // 2 + shared
    assert eight.nbytes == filled * IN + shared
    ordered = quantized(4, order=torch.arange(IN).flip(0), bias=torch.zeros(OUT))[0]
    assert ordered.nbytes == four.nbytes + 4 * IN + 4 * OUT


def test_a_plain_map_of_given_tensors() -> None:
    weight, bias = torch.ones(OUT, IN), torch.zeros(OUT)
    linear = Linear.of(weight, bias)
    assert linear.dequantize().data_ptr() == weight.data_ptr()
    assert linear.nbytes == 4 * (OUT * IN + OUT)
    assert torch.equal(linear(torch.ones(IN)), torch.full((OUT,), float(IN)))


def test_joined_maps_lie_side_by_side() -> None:
    first, matrix = quantized(3)
    second = Linear.of(torch.ones(2, IN))
    bias = torch.arange(OUT + 2).float()
    joined: AnyLinear = JoinedLinear([first, second], bias)
    whole = torch.cat([matrix, torch.ones(2, IN)])
    assert (joined.in_features, joined.out_features) == (IN, OUT + 2)
    assert torch.equal(joined.dequantize(), whole)
    assert joined.nbytes == first.nbytes + second.nbytes + bias.nbytes
    x = torch.randn(4, IN, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(joined(x), F.linear(x, whole, bias))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_a_quantized_embedding_looks_up_rows_of_its_matrix(shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 256, (300, 70), generator=random, dtype=torch.uint8)
    matrix = QuantizedLinear.of(codes, torch.rand(300, 1, generator=random), bits=8, group=None)
    embedding = QuantizedEmbedding(matrix, torch.float32)
    ids = torch.randint(0, 300, shape, generator=random)
    assert torch.equal(embedding(ids), matrix.dequantize()[ids])
    states = torch.randn(*shape, 70, generator=random)
    torch.testing.assert_close(embedding.unembed(states), states @ matrix.dequantize().T)
