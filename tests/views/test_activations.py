"""The estimate of activations beside what a prefill really holds at its widest.

Measured are all allocations of torch, in the order of the profiler's record: every tensor that the
pass makes, and what torch's operations allocate on the way. Not counted are weights and KV cache,
which are there before, what libraries below torch allocate by themselves (scratch of BLAS and
oneDNN), and the few buffers of the native kernels, which have no allocator of torch's.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from family_configs import CONFIGS
from tiny_models import LLAMA, random_decoder
from torch.profiler import ProfilerActivity, profile

from llmcli.checkpoint.store import Source, demo_folder
from llmcli.core import kernels, ops
from llmcli.core.model import Decoder
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import prefill
from llmcli.engine.session import load
from llmcli.views.memory import Activations, estimated_activations

SHAPED: dict[str, dict[str, Any]] = {
    # SmolLM2-135M's widths; then heads that are wider together than the MLP
    "smollm2": {**LLAMA, "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9,
                "num_key_value_heads": 3},
    "wide attention": {**LLAMA, "hidden_size": 128, "intermediate_size": 160, "head_dim": 64},
    "norms of q and k": CONFIGS["qwen3"],
    "norms after": CONFIGS["olmo2"],
    "no gate": {**CONFIGS["starcoder2"], "sliding_window": None},
}  # fmt: skip


@pytest.fixture
def torch_alone() -> Iterator[None]:
    before = kernels.chosen()
    kernels.use("torch")
    yield
    kernels.use(before)


def decoder_of(name: str) -> Decoder:
    if name == "demo":
        return load(check_folder(Source("demo", "demo", demo_folder(), None)), dtype="fp32").decoder
    return random_decoder({k: v for k, v in SHAPED[name].items() if v is not None}, seed=0)


def measured(decoder: Decoder, positions: int) -> int:
    """Bytes at the widest of a pass over so many positions, in a cache that has the room."""
    ids, cache = [3] * positions, decoder.new_cache(capacity=positions)
    prefill(decoder, ids, cache)  # tables that are kept, as RoPE's, are there then
    cache.truncate(0)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        prefill(decoder, ids, cache)
    assert record.profiler is not None and record.profiler.kineto_results is not None
    changes = [
        (event.start_ns(), event.nbytes())
        for event in record.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    held = widest = 0
    for _, n_bytes in sorted(changes, key=lambda change: change[0]):
        held += n_bytes
        widest = max(widest, held)
    assert changes and held == 0  # all of it was given back
    return widest


def ratio(decoder: Decoder) -> float:
    """Measured / estimated."""
    told: Activations = estimated_activations(decoder.config)
    estimate = told.fp32_bytes if decoder.dtype == torch.float32 else told.bf16_bytes
    return measured(decoder, told.positions) / estimate


@pytest.mark.usefixtures("torch_alone")
@pytest.mark.parametrize("name", ["demo", *SHAPED])
def test_in_fp32_torch_holds_what_is_estimated(name: str) -> None:
    assert 0.9 < ratio(decoder_of(name)) < 1.1


@pytest.mark.skipif(kernels.available() == ["torch"], reason="built without native kernels")
@pytest.mark.parametrize("name", ["demo", *SHAPED])
def test_native_kernels_hold_less(name: str) -> None:
    assert 0.6 < ratio(decoder_of(name)) < 1.1


@pytest.mark.usefixtures("torch_alone")
@pytest.mark.parametrize(("dtypes", "most"), [({"fp32", "bf16"}, 1.1), ({"fp32"}, 1.8)])
def test_bf16_takes_more_where_the_cpu_has_no_arithmetic_for_it(
    dtypes: set[str], most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "native_dtypes", lambda: dtypes)
    assert 0.9 < ratio(decoder_of("smollm2").to(torch.bfloat16)) < most


@pytest.mark.usefixtures("torch_alone")
def test_what_is_kept_needlessly_is_measured() -> None:
    decoder = decoder_of("smollm2")
    positions = estimated_activations(decoder.config).positions
    before, kept = measured(decoder, positions), []
    mlp, plain = decoder.blocks[-1].mlp, decoder.blocks[-1].mlp.forward

    def keeps(*given: Any) -> Any:
        kept[:] = [torch.empty(positions, 150)]  # 600 bytes a position
        result = plain(*given)
        kept.clear()
        return result

    mlp.forward = keeps  # type: ignore[method-assign, assignment]
    assert measured(decoder, positions) == before + positions * 600
