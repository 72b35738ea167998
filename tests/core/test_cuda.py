"""What only a GPU can show: that it computes what the CPU computes, and through which kernels."""

from pathlib import Path

import pytest
import torch
from family_configs import CONFIGS
from oracle import load_ours, write_model
from tiny_models import LLAMA, random_decoder
from torch.nn.attention import SDPBackend, sdpa_kernel

from llmcli.core.cache import KVCache
from llmcli.core.model import Decoder
from llmcli.core.recorded import kernels_of
from llmcli.core.sampling import Sampler
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.generate import decode, prefill

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

PROMPT = list(range(3, 40))


def plainly(decoder: Decoder, token: int, cache: KVCache) -> torch.Tensor:
    with torch.inference_mode():
        ids = torch.tensor([[token]], device=decoder.device)
        return decoder.unembed(decoder.hidden(ids, cache)[0, -1])


def chosen(decoder: Decoder, count: int) -> list[int]:
    cache = decoder.new_cache(capacity=64)
    logits, tokens = prefill(decoder, PROMPT, cache, chunk=16), []
    for _ in range(count):
        tokens.append(int(logits.argmax()))
        logits = decode(decoder, tokens[-1], cache)
    return tokens


@pytest.mark.parametrize("name", CONFIGS)
def test_tokens_are_those_of_the_cpu(name: str, tmp_path: Path) -> None:
    decoder = load_ours(write_model(tmp_path, CONFIGS[name]))
    wanted = chosen(decoder, 60)
    assert chosen(decoder.cuda(), 60) == wanted
    assert kernels_of(decoder) == ("torch" if "dynamic" in name else "cuda graph")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_replays_give_what_the_pass_gives(dtype: torch.dtype) -> None:
    decoder = random_decoder(LLAMA, seed=3).to(dtype).cuda()
    caches = decoder.new_cache(capacity=64), decoder.new_cache(capacity=64)
    for cache in caches:
        prefill(decoder, PROMPT, cache)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    for token in range(100):
        ours, theirs = decode(decoder, token, caches[0]), plainly(decoder, token, caches[1])
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
    assert kernels_of(decoder) == "cuda graph"


def test_decoding_waits_for_the_drawn_token_only() -> None:
    decoder = random_decoder(LLAMA, seed=3).cuda()
    cache = decoder.new_cache()
    logits = decode(decoder, 3, cache)
    settings = {"top_k": 5, "top_p": 0.6, "min_p": 0.1, "repetition_penalty": 1.2}
    sampler = Sampler(SamplingSpec(**settings, logit_bias={3: -100.0}), decoder.device)
    sampler.drawn(logits, [1, 2], [3])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for token in range(3):
            sampler.drawn(decode(decoder, token, cache), [1, 2], [3])
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_prompt_from_position_0_goes_through_flash_attention() -> None:
    decoder = random_decoder(LLAMA, seed=3).to(torch.bfloat16).cuda()
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # nothing else may run, or this fails
        prefill(decoder, PROMPT, decoder.new_cache())


@pytest.mark.parametrize("spec", [{"temperature": 0.0}, {"top_k": 3, "seed": 5}, {"top_p": 0.5}])
def test_draws(spec: dict[str, float]) -> None:
    logits = torch.tensor([0.0, 3.0, 1.0, 3.0, 2.0, -1.0])
    device = torch.device("cuda")
    sampler = Sampler(SamplingSpec(**spec), device)
    for _ in range(50):
        draw = sampler.draw(logits.to(device), [], [])
        assert draw.token in ({1} if spec.get("temperature") == 0 else {1, 3, 4})
        assert draw.logprob == pytest.approx(float(logits.log_softmax(0)[draw.token]), abs=1e-5)
