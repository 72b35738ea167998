"""Decoding by native kernels, recorded and replayed: the numbers of the pass as it stands, and the
tokens that torch's own operations give."""

from pathlib import Path

import pytest
import torch
from family_configs import CONFIGS
from oracle import load_ours, write_model
from tiny_models import LLAMA, random_decoder

from llmcli.core import kernels
from llmcli.core.cache import KVCache
from llmcli.core.linear import JoinedLinear, Linear, QuantizedEmbedding
from llmcli.core.model import Decoder
from llmcli.core.quantize import quantize
from llmcli.core.recorded import _Watch, step
from llmcli.core.schemes import SCHEMES, Name

pytestmark = pytest.mark.skipif(kernels.chosen() == "torch", reason="built without a C compiler")


def plainly(decoder: Decoder, token: int, cache: KVCache) -> torch.Tensor:
    return decoder.unembed(decoder.hidden(torch.tensor([[token]]), cache)[0, -1])


def by_torch(decoder: Decoder, token: int, cache: KVCache) -> torch.Tensor:
    before = kernels.chosen()
    kernels.use("torch")
    try:
        return plainly(decoder, token, cache)
    finally:
        kernels.use(before)


def hold_against_plain(decoder: Decoder, steps: int = 80) -> None:
    """`step` on one cache, the pass as it stands on another; beyond the first growth."""
    caches = decoder.new_cache(), decoder.new_cache()
    random = torch.Generator().manual_seed(0)
    for token in torch.randint(0, decoder.config.vocab_size, (steps,), generator=random).tolist():
        ours = step(decoder, token, caches[0])
        assert torch.equal(ours, plainly(decoder, token, caches[1]))
    assert caches[0].length == caches[1].length == steps


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_every_family_replays(name: str, tmp_path: Path) -> None:
    decoder = load_ours(write_model(tmp_path, CONFIGS[name]))
    hold_against_plain(decoder)
    computed = decoder.config.activation == "gelu"  # has no kernel: torch computes it
    assert decoder.recorded is not None and decoder.recorded.replayable != computed


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_kernels_choose_the_tokens_that_torch_chooses(name: str, tmp_path: Path) -> None:
    decoder = load_ours(write_model(tmp_path, CONFIGS[name]))
    caches, tokens, largest = (decoder.new_cache(), decoder.new_cache()), [3], 0.0
    for _ in range(127):
        ours = step(decoder, tokens[-1], caches[0])
        theirs = by_torch(decoder, tokens[-1], caches[1])
        largest = max(largest, float((ours - theirs).abs().max() / theirs.abs().max()))
        assert int(ours.argmax()) == int(theirs.argmax())
        tokens.append(int(ours.argmax()))
    assert largest < 5e-6


@pytest.mark.parametrize("name", ["llama gqa", "gemma2", "gemma3_text", "qwen3", "gpt2"])
@torch.inference_mode()
def test_bf16_kernels_err_no_more_than_bf16_itself(name: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIGS[name])
    exact, half = load_ours(folder), load_ours(folder, torch.bfloat16)
    caches = exact.new_cache(), half.new_cache(), half.new_cache()
    ours, theirs = [], []
    for token in range(3, 43):
        truth = by_torch(exact, token, caches[0])
        ours.append(step(half, token, caches[1]) - truth)
        theirs.append(by_torch(half, token, caches[2]) - truth)
    # Two draws of the same rounding noise: they differ by a few hundredths.
    assert torch.stack(ours).norm() <= 1.05 * torch.stack(theirs).norm()


def quantized_decoder(scheme: Name, dtype: torch.dtype) -> Decoder:
    decoder = random_decoder(LLAMA, seed=3)
    random = torch.Generator().manual_seed(0)
    for block in decoder.blocks:
        for parent, name in ((block.attn, "qkv"), (block.attn, "out"), (block.mlp, "down")):
            matrix = quantize(getattr(parent, name).weight.to(dtype), SCHEMES[scheme])
            setattr(parent, name, matrix)
        order = torch.randperm(block.attn.out.in_features, generator=random)
        block.attn.out.register_buffer("order", order.int())
        block.mlp.gate_up = Linear.of(block.mlp.gate_up.weight.to(dtype))
    table = quantize(decoder.embed.weight.to(dtype), SCHEMES["int8"])
    decoder.embed = QuantizedEmbedding(table, dtype)
    return decoder


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_packed_matrices_replay(scheme: Name, dtype: torch.dtype) -> None:
    decoder = quantized_decoder(scheme, dtype)
    hold_against_plain(decoder)
    assert decoder.recorded is not None and decoder.recorded.replayable


@torch.inference_mode()
def test_what_torch_computes_itself_is_not_replayed() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    down = decoder.blocks[1].mlp.down.weight
    halves = [Linear.of(down[: len(down) // 2]), Linear.of(down[len(down) // 2 :])]
    decoder.blocks[1].mlp.down = JoinedLinear(halves, None)
    hold_against_plain(decoder)
    assert decoder.recorded is not None and not decoder.recorded.replayable


@torch.inference_mode()
def test_a_step_serves_any_cache() -> None:
    """After truncation, on a fork, and on one that grew in between."""
    decoder = random_decoder(LLAMA, seed=3)
    caches = decoder.new_cache(), decoder.new_cache()
    for token in range(70):
        step(decoder, token, caches[0])
        plainly(decoder, token, caches[1])
    for cache in caches:
        cache.truncate(50)
    fork = caches[0].fork()
    wanted = plainly(decoder, 7, caches[1])
    assert torch.equal(step(decoder, 7, fork), wanted)
    assert torch.equal(step(decoder, 7, caches[0]), wanted)
    assert caches[0].length == fork.length == 51


@pytest.mark.parametrize("name", ["phi3 longrope", "llama rope-dynamic", "gemma3_text"])
@torch.inference_mode()
def test_replays_follow_the_rotations_back_and_forth(name: str, tmp_path: Path) -> None:
    """Across the end of the original context and of the table of cosines, which grows at 1,024."""
    decoder = load_ours(write_model(tmp_path, CONFIGS[name]))
    caches = decoder.new_cache(), decoder.new_cache()
    for cache in caches:
        cache.reserve(1100)
        cache.blank(1100)
    for position in (3, 14, 15, 16, 17, 40, 1023, 1024, 1050, 15, 16, 3):
        for cache in caches:
            cache.length = position
        ours = step(decoder, 7, caches[0])
        assert torch.equal(ours, plainly(decoder, 7, caches[1])), position


@torch.inference_mode()
def test_tokens_and_positions_that_are_not_there_are_refused(tmp_path: Path) -> None:
    decoder = load_ours(write_model(tmp_path, CONFIGS["gpt2"]))
    cache = decoder.new_cache()
    for _ in range(2):  # recorded, and replayed
        step(decoder, 3, cache)
        for token in (-1, decoder.config.vocab_size):
            with pytest.raises(IndexError):
                step(decoder, token, cache)
    cache.reserve(200)
    cache.length = 128
    with pytest.raises(IndexError, match="128"):
        step(decoder, 3, cache)
    decoder.recorded = None
    with pytest.raises(IndexError, match="128"):
        step(decoder, 3, cache)


@torch.inference_mode()
def test_replays_change_nothing_for_later_passes() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    ids = torch.arange(3, 30).unsqueeze(0)
    before, cache = decoder(ids), decoder.new_cache()
    decoder.hidden(ids[:, :10], cache)
    for token in range(6):
        step(decoder, token, cache)
    assert torch.equal(decoder(ids), before)


def test_recording_does_not_import_the_compiler() -> None:
    # What torch wraps for it imports torch._dynamo at its first call, which takes seconds.
    assert not hasattr(_Watch.__torch_dispatch__, "__wrapped__")
