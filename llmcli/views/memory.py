"""Bytes that a model needs in memory, computed from its sizes. Nothing is measured here."""

from dataclasses import dataclass

from llmcli.core.config import ModelConfig


@dataclass(frozen=True)
class BytesPerToken:
    """What one token adds to the KV cache, by how wide a value is. int8 is one byte per value: the
    scales that go with it are not counted."""

    fp32: int
    bf16: int
    int8: int


@dataclass(frozen=True)
class KVCacheMemory:
    """The KV cache: 2 (keys, values) × layers × KV heads × head width × bytes per value."""

    bytes_per_token: BytesPerToken


def kv_cache_memory(config: ModelConfig) -> KVCacheMemory:
    n_values = config.kv_values_per_token()
    return KVCacheMemory(BytesPerToken(fp32=4 * n_values, bf16=2 * n_values, int8=n_values))
