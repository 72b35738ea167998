"""Memory by precision and context: published shapes, and what the engine really allocates."""

from pathlib import Path
from typing import Any

import pytest
import torch
from family_configs import CONFIGS
from published import MODELS
from shapes import LLAMA2_7B, LLAMA3_8B, SMOLLM2_135M, write_hollow, write_shape
from tiny_models import write_tiny_llama

from llmcli.checkpoint.config_json import describe
from llmcli.checkpoint.layout import expected_tensors
from llmcli.checkpoint.quantization import Quant
from llmcli.checkpoint.store import Source, resolve
from llmcli.core.cache import KVCache
from llmcli.engine.folder import check_folder
from llmcli.engine.session import load
from llmcli.views.inspection import inspect
from llmcli.views.memory import Memory, PerDtype, fit, kv_cache_memory, model_memory

KIB, MIB = 1024, 1024**2


def memory_of(config: dict[str, Any]) -> Memory:
    description = describe(config, Path("config.json"))
    tensors = expected_tensors(description.family, description.config)
    return model_memory(description.config, tensors, {}, parameters=134_515_008, file_bytes=0)


@pytest.mark.parametrize(
    ("config", "bf16"),
    [
        (SMOLLM2_135M, 22.5 * KIB),
        (LLAMA3_8B, 128 * KIB),
        (LLAMA2_7B, 512 * KIB),
        ({**LLAMA2_7B, "num_key_value_heads": 1}, 16 * KIB),
    ],
    ids=["gqa-3", "gqa-4", "mha", "mqa"],
)
def test_bytes_per_token(config: dict[str, Any], bf16: float) -> None:
    memory = kv_cache_memory(describe(config, Path("config.json")).config)
    assert memory.bytes_per_token == PerDtype(
        fp32=int(2 * bf16), bf16=int(bf16), int8=int(bf16 / 2)
    )


@pytest.mark.parametrize(("precision", "quant"), [("fp32", "none"), ("int8", "int8")])
def test_weights_are_those_of_the_model_that_is_loaded(
    tmp_path: Path, precision: str, quant: Quant
) -> None:
    folder = write_tiny_llama(tmp_path, hidden_size=72, intermediate_size=80, num_attention_heads=9,
                              num_key_value_heads=3)  # fmt: skip
    rows = {row.precision: row for row in inspect(resolve(str(folder))).memory.weights}
    checked = check_folder(Source("folder", str(folder), folder, None)).rounded_to(quant)
    dtype = "fp32" if quant == "none" else "bf16"
    assert rows[precision].held_bytes == load(checked, device="cpu", dtype=dtype).nbytes  # type: ignore[index]


@pytest.mark.parametrize("name", ["llama gqa", "llama mqa", "gpt2", "gemma3_text"])
def test_the_cache_is_what_is_allocated_and_used(name: str) -> None:
    config = describe({k: v for k, v in CONFIGS[name].items() if v is not None}, Path("x")).config
    told = kv_cache_memory(config).bytes_per_token
    for dtype, each in ((torch.float32, told.fp32), (torch.bfloat16, told.bf16)):
        cache = KVCache(config, dtype=dtype, capacity=48)
        assert cache.nbytes == 48 * each
        cache.advance(31)
        assert cache.used_bytes == 31 * each


def test_smollm2_135m() -> None:
    memory = memory_of(SMOLLM2_135M)
    rows = {row.precision: row for row in memory.weights}
    assert round(rows["int4"].naive_bytes / MIB, 1) == 64.1
    assert memory.file_layout is not None
    assert round(memory.file_layout.bytes / MIB, 1) == 106.7
    # 4 bits and a scale of 16 for every 32, W_E in 8 bits and a scale a row, norms in fp32
    matrices, norms, embedding = 106_168_320, 35_136, 28_311_552
    assert rows["int4"].held_bytes == (
        matrices // 2 + matrices // 32 * 2 + embedding + 49_152 * 2 + norms * 4
    )
    assert rows["bf16"].held_bytes == 2 * 134_515_008 + 2 * norms
    assert sum(part.bytes for part in rows["int4"].parts) == rows["int4"].held_bytes
    assert [at.tokens for at in memory.contexts] == [1024, 4096, 8192]
    assert memory.contexts[-1].bytes.bf16 == 180 * MIB


def test_other_ways_to_share_are_compared() -> None:
    llama = {row.kind: row for row in memory_of(LLAMA3_8B).sharing}
    assert {kind: row.kv_heads for kind, row in llama.items()} == {"MHA": 32, "GQA": 8, "MQA": 1}
    assert llama["MHA"].bytes_per_token.bf16 == 4 * llama["GQA"].bytes_per_token.bf16
    assert [row.kind for row in llama.values() if row.this_model] == ["GQA"]
    gpt2 = memory_of(MODELS["openai-community/gpt2"][0]).sharing
    assert [(row.kind, row.kv_heads, row.this_model) for row in gpt2] == [
        ("MHA", 12, True),
        ("MQA", 1, False),
    ]


def test_the_longest_context_that_fits() -> None:
    memory = memory_of(SMOLLM2_135M)
    told = fit(memory, 300 * MIB).fit
    assert told is not None
    rows = {row.weights: row for row in told.longest}
    assert (rows["fp32"].fp32_tokens, rows["int4"].bf16_tokens) == (None, 8192)
    held = rows["bf16"].weight_bytes
    longest = rows["bf16"].bf16_tokens
    assert longest is not None
    assert held + longest * 23_040 <= 300 * MIB < held + (longest + 1) * 23_040


def test_a_packed_model_is_told_as_packed(tmp_path: Path) -> None:
    from packed import gptq, write_twins

    folder, _ = write_twins(tmp_path, gptq(4, 32))
    memory = inspect(resolve(str(folder))).memory
    assert memory.packed is not None
    model = load(check_folder(Source("folder", str(folder), folder, None)), dtype="bf16")
    assert memory.packed.held_bytes == model.nbytes
    assert {row.held_bytes for row in memory.weights} == {None}
    told = fit(memory, 8 * MIB).fit
    assert told is not None
    assert [row.weights for row in told.longest] == ["as packed"]


def test_a_count_alone_tells_naive_rows_and_no_more(tmp_path: Path) -> None:
    file = write_hollow(tmp_path / "alone.safetensors", [("w", "F16", (3, 5))])
    memory = inspect(resolve(str(file))).memory
    assert [row.naive_bytes for row in memory.weights] == [60, 30, 15, 7]
    assert {row.held_bytes for row in memory.weights} == {None}
    assert (memory.contexts, memory.activations) == ((), None)
    with pytest.raises(ValueError, match="KV cache"):
        fit(memory, 8)


def test_of_a_shard_the_whole_model_is_told(tmp_path: Path) -> None:
    folder = write_shape(tmp_path, SMOLLM2_135M, n_shards=3)
    memory = inspect(resolve(str(folder / "model-00002-of-00003.safetensors"))).memory
    assert memory.parameters == 134_515_008
    assert memory.weights == inspect(resolve(str(folder))).memory.weights
    held = {row.precision: row.held_bytes for row in memory.weights}
    assert held["fp32"] == held["bf16"] == memory_of(SMOLLM2_135M).weights[1].held_bytes
