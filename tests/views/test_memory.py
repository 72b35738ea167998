"""KV cache bytes per token of published shapes, by how many query heads share a KV head."""

from pathlib import Path
from typing import Any

import pytest
from shapes import LLAMA2_7B, LLAMA3_8B, SMOLLM2_135M

from llmcli.checkpoint.config_json import describe
from llmcli.views.memory import PerDtype, kv_cache_memory

KIB = 1024


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
