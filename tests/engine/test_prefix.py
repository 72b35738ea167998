"""Prefix reuse: as much as is shared, never the last token, robust against cut passes."""

import torch

from llmcli.core.cache import KVCache
from llmcli.core.config import Layer, ModelConfig, Rope
from llmcli.engine.prefix import HeldPrefix


def held(*ids: int, length: int | None = None) -> HeldPrefix:
    config = ModelConfig(
        vocab_size=10,
        d_model=4,
        n_heads=1,
        n_kv_heads=1,
        d_head=4,
        d_ff=4,
        context=100,
        layers=(Layer(Rope(1e4, 4)),),
        norm_eps=1e-5,
        activation="silu",
        qkv_bias=False,
        out_bias=False,
        mlp_bias=False,
        tied=True,
        attention_scale=0.5,
    )
    prefix = HeldPrefix(KVCache(config, dtype=torch.float32))
    prefix.cache.advance(len(ids) if length is None else length)
    prefix.extend(ids)
    return prefix


def test_the_common_beginning_is_spared() -> None:
    prefix = held(1, 2, 3, 4)
    reuse = prefix.reuse([1, 2, 9, 4, 5])
    assert (reuse.reused, reuse.new, reuse.dropped) == (2, 3, (3, 4))
    per_token = 2 * 4 * 4  # keys and values of width 4 in fp32
    assert (reuse.reused_kv_bytes, reuse.dropped_kv_bytes) == (2 * per_token, 2 * per_token)
    assert prefix.ids == [1, 2]
    assert prefix.cache.length == 2


def test_the_last_token_is_always_computed() -> None:
    assert held(1, 2, 3).reuse([1, 2, 3]).reused == 2
    assert held(1, 2, 3).reuse([1, 2]).reused == 1


def test_nothing_in_common_spares_nothing() -> None:
    prefix = held(1, 2, 3)
    assert prefix.reuse([7, 2, 3]).reused == 0
    assert prefix.cache.length == 0


def test_a_pass_that_was_cut_short_does_no_harm() -> None:
    behind = held(1, 2, 3, length=2)  # ids noted, keys not there
    assert behind.reuse([1, 2, 3, 4]).reused == 2
    ahead = held(1, 2, length=5)  # keys there, ids not noted
    assert ahead.reuse([1, 2, 3, 4]).reused == 2
    assert ahead.cache.length == 2


def test_a_fork_leaves_its_source_as_it_was() -> None:
    prefix = held(1, 2, 3, 4)
    twin = prefix.fork([1, 2, 3])
    assert (twin.ids, twin.cache.length) == ([1, 2], 2)
    assert twin.reuse([1, 2, 3]).new == 1
    assert (prefix.ids, prefix.cache.length) == ([1, 2, 3, 4], 4)
