"""Linear maps: plain, quantized and joined ones keep one contract."""

import pytest
import torch
import torch.nn.functional as F

from llmcli.core.linear import AnyLinear, JoinedLinear, Linear, QuantizedLinear

OUT, IN, GROUPS = 6, 8, 2


def quantized(
    bits: int, *, order: torch.Tensor | None = None, bias: torch.Tensor | None = None
) -> tuple[QuantizedLinear, torch.Tensor]:
    """A random map and its W by the formula, column by column."""
    random = torch.Generator().manual_seed(bits)
    codes = torch.randint(0, 2**bits, (OUT, IN), generator=random, dtype=torch.uint8)
    zeros = torch.randint(0, 2**bits, (OUT, GROUPS), generator=random, dtype=torch.uint8)
    scales = torch.rand(OUT, GROUPS, generator=random)
    linear = QuantizedLinear(codes, zeros, scales, bits=bits, order=order, bias=bias)
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
    order = torch.tensor([3, 1, 4, 0, 5, 7, 2, 6]) if ordered else None
    bias = torch.arange(OUT).float() if biased else None
    linear, matrix = quantized(bits, order=order, bias=bias)
    assert (linear.in_features, linear.out_features) == (IN, OUT)
    assert torch.equal(linear.dequantize(), matrix)
    x = torch.randn(2, 3, IN, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(linear(x), F.linear(x, matrix, bias))


def test_memory_holds_codes_and_no_matrix() -> None:
    four, eight = quantized(4)[0], quantized(8)[0]
    shared = OUT * GROUPS * (1 + 4)
    assert four.nbytes == OUT * IN // 2 + shared
    assert eight.nbytes == OUT * IN + shared
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
