"""One token's pass as a graph, without a GPU: a capture that records nothing and computes again on
the same memory, held against the pass as it stands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from family_configs import CONFIGS, LONGROPE, sized
from oracle import load_ours, write_model
from tiny_models import LLAMA, random_decoder

from llmcli.core import kernels
from llmcli.core.cache import KVCache
from llmcli.core.captured import CapturedStep, Compute
from llmcli.core.model import Decoder
from llmcli.core.recorded import kernels_of, step

pytestmark = pytest.mark.usefixtures("torch_kernels")


@pytest.fixture
def torch_kernels() -> Iterator[None]:
    """Torch's operations, as on a GPU; with inference mode, as in decoding."""
    before = kernels.chosen()
    kernels.use("torch")
    with torch.inference_mode():
        yield
    kernels.use(before)


class Captures:
    """Stands in for CUDA: `count` captures, each of which computes anew at every replay."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, compute: Compute, device: torch.device) -> Compute:
        self.count += 1
        result = compute().clone()  # its memory; what it held counts for nothing
        return lambda: result.copy_(compute())


def capturing(decoder: Decoder) -> Captures:
    captures = Captures()
    decoder.captured = CapturedStep(decoder, captures)
    return captures


def plainly(decoder: Decoder, token: int, cache: KVCache) -> torch.Tensor:
    return decoder.unembed(decoder.hidden(torch.tensor([[token]]), cache)[0, -1])


def hold_together(decoder: Decoder, token: int, cache: KVCache, plain: KVCache) -> None:
    """`step` on one cache, the pass as it stands on another that holds the same."""
    ours = step(decoder, token, cache)
    theirs = plainly(decoder, token, plain)
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 5e-6
    assert int(ours.argmax()) == int(theirs.argmax())
    assert cache.length == plain.length


def filled(decoder: Decoder, count: int) -> tuple[KVCache, KVCache]:
    """Two caches that hold the same, in memory that was full of NaN."""
    ids = torch.randint(3, decoder.config.vocab_size, (1, count), generator=seeded(count))
    caches = decoder.new_cache(), decoder.new_cache()
    for cache in caches:
        for layer in cache._layers:
            layer.fill_(torch.nan)
        decoder.hidden(ids, cache)
    return caches


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_family(name: str, tmp_path: Path) -> None:
    decoder = load_ours(write_model(tmp_path, CONFIGS[name]))
    captures, caches = capturing(decoder), filled(decoder, 9)
    for token in range(3, 103):  # beyond the first growth, and every window
        hold_together(decoder, token, *caches)
    assert kernels_of(decoder) == ("torch" if "dynamic" in name else "cuda graph")
    assert captures.count == {"llama rope-dynamic": 1, "phi3 longrope": 3}.get(name, 2)


def test_a_capture_serves_until_the_cache_grows_or_more_room_is_needed() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    captures = capturing(decoder)
    cache, plain = decoder.new_cache(capacity=600), decoder.new_cache()
    counts = []
    for token in range(300):
        hold_together(decoder, token, cache, plain)
        counts.append(captures.count)
    assert counts == [1] * 256 + [2] * 44


def test_after_truncation_nothing_of_what_was_forgotten_is_seen() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    captures, caches = capturing(decoder), filled(decoder, 20)
    hold_together(decoder, 5, *caches)
    for cache in caches:
        broken = torch.full((1, 2, 10, 8), torch.nan)
        for layer in range(decoder.config.n_layers):
            cache.append(layer, broken, broken)
        cache.advance(10)
        cache.truncate(12)
    for token in range(5, 25):
        hold_together(decoder, token, *caches)
    assert captures.count == 1


def test_two_caches_and_a_fork_in_turn() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    capturing(decoder)
    pairs = [filled(decoder, 5), filled(decoder, 30)]
    for token in range(4):
        for pair in pairs:
            hold_together(decoder, token, *pair)
    pairs.append((pairs[0][0].fork(), pairs[0][1].fork()))
    for token in range(4):
        for number, pair in enumerate(pairs):
            hold_together(decoder, token + number, *pair)


def test_prefill_in_between() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    captures, caches = capturing(decoder), filled(decoder, 5)
    for count in (3, 8):
        hold_together(decoder, 7, *caches)
        for cache in caches:
            decoder.hidden(torch.arange(count).unsqueeze(0), cache)
        hold_together(decoder, 8, *caches)
    assert captures.count == 1


DYNAMIC = {"type": "dynamic", "factor": 4.0}


@pytest.mark.parametrize(
    ("config", "captures_past_16"),
    [
        (sized("phi3", rope_scaling=LONGROPE, original_max_position_embeddings=16), 2),
        ({**LLAMA, "max_position_embeddings": 16, "rope_scaling": DYNAMIC}, 1),
    ],
    ids=["longrope is captured anew", "dynamic scaling no more"],
)
def test_rope_that_depends_on_length(
    config: dict[str, Any], captures_past_16: int, tmp_path: Path
) -> None:
    decoder = load_ours(write_model(tmp_path, config))
    captures, caches = capturing(decoder), filled(decoder, 12)
    counts = []
    for token in range(3, 13):
        hold_together(decoder, token, *caches)
        counts.append(captures.count)
    assert kernels_of(decoder) == ("torch" if captures_past_16 == 1 else "cuda graph")
    assert counts == [1] * 4 + [captures_past_16] * 6


def test_logits_stay_what_they_were() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    capturing(decoder)
    cache = decoder.new_cache()
    first = step(decoder, 3, cache)
    copy = first.clone()
    step(decoder, 4, cache)
    assert torch.equal(first, copy)


def refuse(compute: Compute, device: torch.device) -> Compute:
    raise RuntimeError("operation not permitted when stream is capturing")


def interrupt(compute: Compute, device: torch.device) -> Compute:
    compute()
    raise KeyboardInterrupt


def test_what_cannot_be_captured_runs_as_it_stands() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    decoder.captured = CapturedStep(decoder, refuse)
    caches = filled(decoder, 5)
    for token in range(3):
        hold_together(decoder, token, *caches)
    assert kernels_of(decoder) == "torch"


def test_an_interrupted_capture_leaves_all_usable() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    caches = filled(decoder, 5)
    captures = capturing(decoder)
    decoder.captured._capture = interrupt
    with pytest.raises(KeyboardInterrupt):
        step(decoder, 3, caches[0])
    decoder.captured._capture = captures
    for token in range(3):
        hold_together(decoder, token, *caches)
    assert captures.count == 1


def test_what_learns_is_not_captured() -> None:
    decoder = random_decoder(LLAMA, seed=3)
    captures, caches = capturing(decoder), filled(decoder, 5)
    with torch.inference_mode(False), torch.enable_grad():
        fresh = decoder.new_cache()
        step(decoder, 3, fresh)
    assert captures.count == 0 and caches[0].length == 5
