"""On a GPU, decoding waits for nothing but the token that was drawn. Shown without one: on tensors
of device `meta`, which hold no numbers, whatever must see a number fails."""

from typing import Any

import pytest
import torch
from tiny_models import LLAMA, random_decoder

from llmcli.core import sampling
from llmcli.core.captured import CapturedStep
from llmcli.core.model import Decoder
from llmcli.core.recorded import kernels_of
from llmcli.core.sampling import Sampler
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.generate import decode

META = torch.device("meta")
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "plain": {},
    "filters": {"temperature": 0.7, "top_k": 5, "top_p": 0.6, "min_p": 0.1},
    "top-p alone": {"top_p": 0.3},
    "penalties": {"repetition_penalty": 1.3, "frequency_penalty": 0.2, "presence_penalty": 0.1},
    "bias": {"temperature": 0.0, "logit_bias": {3: -100.0, 5: 2.0}},
}


def test_what_this_relies_on() -> None:
    for look in (torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.nonzero, torch.Tensor.cpu):
        with pytest.raises((RuntimeError, NotImplementedError)):
            look(torch.ones(1, device=META))


@torch.inference_mode()
def test_passes() -> None:
    with META:
        decoder = Decoder(random_decoder(LLAMA, seed=1).config)
    cache = decoder.new_cache()
    decoder.hidden(torch.zeros((1, 20), dtype=torch.int64, device=META), cache)
    decoder.captured = CapturedStep(decoder, lambda compute, device: compute)
    for token in (3, 4):
        assert decode(decoder, token, cache).shape == (LLAMA["vocab_size"],)
    assert cache.length == 22
    assert kernels_of(decoder) == "cuda graph"


@pytest.mark.parametrize("setting", SETTINGS)
def test_draws(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def beside(logits: torch.Tensor, values: list[int] | list[float]) -> torch.Tensor:
        return torch.tensor(values, device=META)  # pinned memory comes with a GPU

    monkeypatch.setattr(sampling, "_beside", beside)
    sampler = Sampler(SamplingSpec(**SETTINGS[setting]))
    sampler._random = None  # there is no generator for numbers that are not there
    assert sampler.drawn(torch.zeros(40, device=META), [1, 2], [2, 7]).shape == (4,)


@pytest.mark.parametrize("setting", SETTINGS)
def test_draws_are_those_of_the_cpu(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages in the form that a GPU runs, on numbers with many ties."""
    numbers = torch.Generator().manual_seed(4)
    spec = SamplingSpec(**SETTINGS[setting], seed=9)
    here, there = Sampler(spec), Sampler(spec)
    for _ in range(200):
        logits = (torch.randn(60, generator=numbers) * 3).round()
        wanted = here.draw(logits, [1, 2], [2, 7])
        with monkeypatch.context() as patch:
            patch.setattr(sampling, "_at_hand", lambda logits: False)
            found = there.draw(logits, [1, 2], [2, 7])
        assert found.token == wanted.token
        assert found.logprob == pytest.approx(wanted.logprob, abs=1e-5)
