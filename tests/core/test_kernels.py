"""The native kernels against torch: odd sizes, each instruction set, one thread and two."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from llmcli.core import kernels, ops
from llmcli.core.cache import KVCache
from llmcli.core.config import Activation, Layer, ModelConfig, Rope
from llmcli.core.linear import QuantizedLinear
from llmcli.core.rope import Rotation

NATIVE = kernels.available()[1:]
DTYPES = (torch.float32, torch.bfloat16)
# Relative to the largest number of the result: rounding of sums, and of bf16 results.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2**-8}
WIDTHS = (1, 7, 31, 32, 33, 64, 100, 577)

pytestmark = pytest.mark.skipif(not NATIVE, reason="built without a C compiler")


@pytest.fixture(params=[(name, threads) for name in NATIVE for threads in (1, 2)], ids=str)
def native(request: pytest.FixtureRequest) -> Iterator[None]:
    """The kernels of each instruction set that this CPU has, on one thread and on two."""
    before, threads = kernels.chosen(), torch.get_num_threads()
    kernels.use(request.param[0])
    kernels.use_threads(request.param[1])
    with torch.inference_mode():
        yield
    kernels.use(before)
    kernels.use_threads(threads)


def by_torch(function, *arguments, **options) -> Tensor:
    before = kernels.chosen()
    kernels.use("torch")
    try:
        return function(*arguments, **options)
    finally:
        kernels.use(before)


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    largest = max(float(theirs.double().abs().max()), 1e-30)
    error = float((ours.double() - theirs.double()).abs().max()) / largest
    assert error <= tolerance


def numbers(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=random).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_in", WIDTHS)
@pytest.mark.parametrize("n_out", [1, 5, 16, 300])
@pytest.mark.parametrize("rows", [1, 3, 25])
def test_linear(native: None, dtype: torch.dtype, n_in: int, n_out: int, rows: int) -> None:
    x, weight = numbers(1, rows, n_in, dtype=dtype), numbers(n_out, n_in, dtype=dtype, seed=1)
    bias = numbers(n_out, dtype=dtype) if rows == 3 else None
    exact = x.double() @ weight.double().T + (0 if bias is None else bias.double())
    scale = float((x.double().abs() @ weight.double().abs().T).max() / exact.abs().max())
    ours = ops.linear(x, weight, bias)
    assert_close(ours, exact.to(dtype), TOLERANCE[dtype] * max(scale, 1))
    wide = ops.linear(x, weight, bias, torch.float32)
    assert_close(wide, exact.float(), TOLERANCE[torch.float32] * max(scale, 1))


def quantized(bits: int, n_out: int, n_in: int, group: int | None, zeros: bool) -> QuantizedLinear:
    random = torch.Generator().manual_seed(n_in)
    groups = 1 if group is None else -(-n_in // group)
    codes = torch.randint(0, 2**bits, (n_out, n_in), generator=random, dtype=torch.uint8)
    points = torch.randint(0, 2**bits, (n_out, groups), generator=random, dtype=torch.uint8)
    scales = torch.rand(n_out, groups, generator=random) + 0.1
    return QuantizedLinear.of(codes, scales, points if zeros else None, bits=bits, group=group)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("n_in", WIDTHS)
@pytest.mark.parametrize(("n_out", "rows", "group"), [(1, 1, 32), (40, 1, None), (300, 3, 64)])
@pytest.mark.parametrize("zeros", [False, True])
def test_quantized_linear(
    native: None,
    dtype: torch.dtype,
    bits: int,
    n_in: int,
    n_out: int,
    rows: int,
    group: int | None,
    zeros: bool,
) -> None:
    matrix = quantized(bits, n_out, n_in, group, zeros)
    x = numbers(1, rows, n_in, dtype=dtype)
    weight = by_torch(matrix.dequantize, torch.float64)
    exact = x.double() @ weight.T
    # Each group of x is rounded to 16 bits: half a step of 1 / 32767 of its largest number.
    scale = float((x.double().abs() @ weight.abs().T).max() / exact.abs().max())
    tolerance = TOLERANCE[dtype] * max(scale, 1) + 4e-5 * scale
    assert_close(matrix(x), exact.to(dtype), tolerance)
    times = ops.FEW + 1
    many = x.repeat(1, times, 1)
    if not ops._native_rows(many):  # torch multiplies by W rounded to bf16
        tolerance += 2**-8 * scale
    assert_close(matrix(many), exact.repeat(1, times, 1).to(dtype), tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layer", [False, True])
def test_norm(native: None, dtype: torch.dtype, width: int, layer: bool) -> None:
    x, weight = numbers(1, 5, width, dtype=dtype) + 2, numbers(width)
    bias = numbers(width, seed=3) if layer else None
    ours, theirs = ops.norm(x, weight, bias, 1e-5), by_torch(ops.norm, x, weight, bias, 1e-5)
    assert_close(ours, theirs, 2 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ["silu", "gelu_tanh", "relu", "gelu"])
@pytest.mark.parametrize("gated", [False, True])
def test_activation(
    native: None, dtype: torch.dtype, width: int, activation: Activation, gated: bool
) -> None:
    x = numbers(1, 3, width * (1 + gated), dtype=dtype) * 4
    ours = ops.activate(x, activation, gated=gated)
    theirs = by_torch(ops.activate, x, activation, gated=gated)
    assert_close(ours, theirs, 2 * TOLERANCE[dtype])


def test_activations_at_the_ends_of_fp32(native: None) -> None:
    ends = torch.tensor([0.0, -0.0, 1e38, -1e38, 100.0, -100.0, 1e-38, -200.0])
    for activation in ("silu", "gelu_tanh", "relu"):
        ours = ops.activate(ends, activation, gated=False)
        theirs = by_torch(ops.activate, ends, activation, gated=False)
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-30), activation
        assert ops.activate(torch.full((9,), torch.nan), activation, gated=False).isnan().all()


def attention_sizes(heads: int, kv_heads: int, width: int) -> ModelConfig:
    return ModelConfig(
        vocab_size=9,
        d_model=8,
        n_heads=heads,
        n_kv_heads=kv_heads,
        d_head=width,
        d_ff=8,
        context=999,
        layers=(Layer(None),),
        norm_eps=1e-5,
        activation="silu",
        qkv_bias=False,
        out_bias=False,
        mlp_bias=False,
        tied=True,
        attention_scale=1.0,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("heads", "kv_heads", "width"), [(9, 3, 64), (4, 1, 80), (20, 1, 7), (2, 2, 256)]
)
@pytest.mark.parametrize("held", [0, 1, 127, 128, 300])
@pytest.mark.parametrize("rotated", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 40])
def test_attention(
    native: None,
    dtype: torch.dtype,
    heads: int,
    kv_heads: int,
    width: int,
    held: int,
    rotated: int,
    count: int,
) -> None:
    window = 100 if rotated == 1 else None
    softcap = 5.0 if rotated == 2 else None
    side_by_side = numbers(count, (heads + 2 * kv_heads) * width, dtype=dtype)
    q, k, v = side_by_side.split([heads * width, kv_heads * width, kv_heads * width], dim=1)
    cache = KVCache(attention_sizes(heads, kv_heads, width), dtype=dtype, capacity=max(held, 1))
    past = numbers(2, 1, kv_heads, held, width, dtype=dtype)
    cache.append(0, past[0], past[1])
    cache.advance(held)
    rope = Rope(10000.0, width // 4 * 2)
    turn = Rotation(rope, held, count, torch.float32, q.device) if rotated else None
    z = ops.attend(
        q,
        k,
        v,
        None if turn is None else turn.cos,
        None if turn is None else turn.sin,
        cache,
        0,
        window=window,
        scale=0.3,
        softcap=softcap,
    )
    cache.advance(count)
    keys, values = cache.append(0, past[0, :, :, :0], past[1, :, :, :0])
    query, key = (part.float().unflatten(1, (-1, width)).unsqueeze(0) for part in (q, k))
    query, key = (part if turn is None else turn(part) for part in (query, key))
    assert torch.equal(keys[:, :, :held], past[0]) and torch.equal(values[:, :, :held], past[1])
    assert torch.equal(values[0, :, held:], v.unflatten(1, (-1, width)).transpose(0, 1))
    new_keys = keys[0, :, held:].transpose(0, 1).float()
    assert torch.allclose(new_keys, key[0], rtol=2 * TOLERANCE[dtype], atol=1e-6)
    group = heads // kv_heads
    for row in {0, count // 2, count - 1}:
        stop = held + row + 1
        first = 0 if window is None else max(stop - window, 0)
        seen, mixed = keys[0, :, first:stop].double(), values[0, :, first:stop].double()
        scores = query[0, row].double().view(kv_heads, group, width) @ seen.transpose(1, 2) * 0.3
        scores = scores if softcap is None else softcap * torch.tanh(scores / softcap)
        exact = (scores.softmax(-1) @ mixed).flatten().to(dtype)
        assert_close(z[0, row], exact, 8 * TOLERANCE[dtype])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_not_lost(native: None, value: float) -> None:
    """A model that produces NaN must not be told apart by rounding it away."""
    for matrix in (quantized(4, 40, 64, 32, False), quantized(8, 40, 64, None, False)):
        x = numbers(1, 1, 64)
        x[..., 40] = value
        assert not matrix(x).isfinite().any()
    assert ops.norm(torch.tensor([[1.0, value, 2.0]]), torch.ones(3), None, 1e-5).isnan().any()


def test_the_smallest_numbers_do_not_become_nan(native: None) -> None:
    matrix = quantized(8, 40, 64, None, False)
    assert matrix(torch.full((1, 1, 64), 1e-42)).isfinite().all()
    assert (matrix(torch.zeros(1, 1, 64)) == 0).all()
