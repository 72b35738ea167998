"""The KV cache: what it holds, forgets and copies, alone and under a decoder."""

import pytest
import torch
from tiny_models import LLAMA, random_decoder

from llmcli.core.cache import _LARGE_LAYER, KVCache
from llmcli.core.model import Decoder


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return random_decoder(LLAMA, seed=7)


def tokens(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 320, (1, count), generator=torch.Generator().manual_seed(seed))


def test_small_layers_lie_in_one_block_and_large_ones_apart(decoder: Decoder) -> None:
    cache = KVCache(decoder.config, dtype=torch.float32)
    each = cache.nbytes // decoder.config.n_layers
    first, second = (layer.data_ptr() for layer in cache._layers)
    assert second - first == each
    cache.reserve(_LARGE_LAYER // (each // cache.capacity))
    cache._layers[0].fill_(1)
    cache._layers[1].fill_(2)
    assert (cache._layers[0] == 1).all()
    blocks = {layer.untyped_storage().data_ptr() for layer in cache._layers}
    sizes = {layer.untyped_storage().nbytes() for layer in cache._layers}
    assert len(blocks) == 2 and sizes == {_LARGE_LAYER}


def test_decoding_scores_tokens_as_one_prefill_does(decoder: Decoder) -> None:
    ids = tokens(100)
    whole = decoder(ids).log_softmax(-1)
    cache = decoder.new_cache()
    rows = [decoder(ids[:, i : i + 1], cache).log_softmax(-1) for i in range(100)]
    torch.testing.assert_close(torch.cat(rows, dim=1), whole, atol=1e-5, rtol=0)


def test_truncating_and_running_again_equals_a_straight_run(decoder: Decoder) -> None:
    ids, other = tokens(60, seed=1), tokens(25, seed=2)
    cache = decoder.new_cache()
    decoder(ids, cache)
    decoder(tokens(40, seed=11), cache)
    cache.truncate(60)
    again = decoder(other, cache)
    straight_cache = decoder.new_cache()
    decoder(ids, straight_cache)
    assert torch.equal(again, decoder(other, straight_cache))
    assert cache.length == straight_cache.length == 85


def test_a_fork_shares_nothing_with_its_source(decoder: Decoder) -> None:
    ids = tokens(30, seed=3)
    cache = decoder.new_cache()
    decoder(ids, cache)
    twin = cache.fork()
    expected = decoder(tokens(5, seed=4), cache.fork())
    decoder(tokens(40, seed=5), cache)  # overwrites nothing of the twin's, and makes it grow
    assert twin.length == 30
    assert torch.equal(decoder(tokens(5, seed=4), twin), expected)
    assert cache.length == 70


def test_a_fork_may_hold_only_the_beginning(decoder: Decoder) -> None:
    cache, beginning = decoder.new_cache(), decoder.new_cache()
    decoder(tokens(300, seed=3), cache)
    decoder(tokens(300, seed=3)[:, :100], beginning)
    twin = cache.fork(100)
    assert (cache.length, twin.length) == (300, 100)
    assert twin.nbytes < cache.nbytes
    ids = tokens(5, seed=4)
    torch.testing.assert_close(decoder(ids, twin), decoder(ids, beginning), atol=1e-5, rtol=0)


def test_growth_keeps_what_is_held_and_stops_at_the_limit(decoder: Decoder) -> None:
    cache = KVCache(decoder.config, dtype=torch.float32, capacity=4, limit=50)
    ids = tokens(50, seed=6)
    rows = torch.cat([decoder(part, cache) for part in ids.split(7, dim=1)], dim=1)
    torch.testing.assert_close(rows, decoder(ids), atol=1e-5, rtol=0)
    assert (cache.length, cache.capacity) == (50, 50)


def test_bytes_follow_the_formula(decoder: Decoder) -> None:
    cache = KVCache(decoder.config, dtype=torch.bfloat16, capacity=64)
    # 2 (keys and values) x 2 layers x 2 KV heads x 8 wide x 2 bytes
    assert cache.nbytes == 64 * 2 * 2 * 2 * 8 * 2
    assert cache.used_bytes == 0
    assert cache.nbytes // 64 == decoder.config.kv_values_per_token() * 2


def test_a_pass_that_fails_leaves_the_cache_as_it_was(decoder: Decoder) -> None:
    cache = decoder.new_cache()
    ids = tokens(10, seed=8)
    decoder(ids, cache)

    def fail(name: str, value: torch.Tensor) -> torch.Tensor:
        if name == "blocks.1.attn.q":
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        decoder(tokens(10, seed=9), cache, fail)
    assert cache.length == 10
    following = tokens(3, seed=10)
    expected = decoder(torch.cat((ids, following), dim=1))[:, 10:]
    torch.testing.assert_close(decoder(following, cache), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [-1, 11])
def test_truncating_to_what_is_not_held_is_refused(decoder: Decoder, length: int) -> None:
    cache = decoder.new_cache()
    decoder(tokens(10), cache)
    with pytest.raises(ValueError, match="cannot truncate"):
        cache.truncate(length)
