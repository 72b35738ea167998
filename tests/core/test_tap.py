"""Taps: every point is seen once with its shape, and what a tap returns is what goes on."""

import torch
from tiny_models import LLAMA, random_decoder

UNTIED = {**LLAMA, "tie_word_embeddings": False}


def test_every_point_is_seen_with_its_shape() -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def record(name: str, value: torch.Tensor) -> torch.Tensor:
        assert name not in seen
        seen[name] = tuple(value.shape)
        return value

    random_decoder(UNTIED, seed=0)(torch.tensor([[1, 2, 3, 4, 5]]), tap=record)
    residual, query, key = (1, 5, 32), (1, 5, 4, 8), (1, 5, 2, 8)
    block = {
        "resid_pre": residual,
        "attn.q": query,
        "attn.k": key,
        "attn.v": key,
        "attn.scores": (1, 4, 5, 5),
        "attn.pattern": (1, 4, 5, 5),
        "attn.z": query,
        "attn_out": residual,
        "resid_mid": residual,
        "mlp.pre": (1, 5, 48),
        "mlp.up": (1, 5, 48),
        "mlp.post": (1, 5, 48),
        "mlp_out": residual,
        "resid_post": residual,
    }
    expected = {"embed": residual, "final_norm": residual, "logits": (1, 5, 320)}
    for layer in range(2):
        expected |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    assert seen == expected


def test_patterns_are_causal_and_sum_to_one_over_the_cache() -> None:
    decoder = random_decoder(UNTIED, seed=0)
    cache = decoder.new_cache()
    decoder(torch.tensor([[9, 8, 7]]), cache)
    patterns: list[torch.Tensor] = []

    def record(name: str, value: torch.Tensor) -> torch.Tensor:
        if name.endswith("attn.pattern"):
            patterns.append(value)
        return value

    decoder(torch.tensor([[1, 2, 3, 4]]), cache, record)
    for pattern in patterns:
        assert pattern.shape == (1, 4, 4, 7)
        torch.testing.assert_close(pattern.sum(-1), torch.ones(1, 4, 4))
        assert pattern[..., 0, 4:].eq(0).all()  # the first new query sees positions 0 .. 3
        assert pattern[..., 3, :].gt(0).all()


def test_a_tap_replaces_what_goes_on() -> None:
    decoder = random_decoder(UNTIED, seed=0)
    ids = torch.tensor([[1, 2, 3]])

    def silence(name: str, value: torch.Tensor) -> torch.Tensor:
        removed = name.endswith(("attn_out", "mlp_out"))
        return torch.zeros_like(value) if removed else value

    bypassed = decoder.unembed(decoder.final_norm(decoder.embed(ids)))
    assert torch.equal(decoder(ids, tap=silence), bypassed)
    assert not torch.equal(decoder(ids), bypassed)
