"""Bytes that a model needs in memory, computed from its sizes. Nothing is measured here.

It knows how this tool holds weights and caches; it knows nothing of any machine.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from llmcli.checkpoint.headers import TensorHeader
from llmcli.checkpoint.layout import Expected, rounded
from llmcli.checkpoint.quantization import OWN, Quant
from llmcli.checkpoint.resident import Form, held, kept_narrow
from llmcli.core.config import ModelConfig
from llmcli.engine.limits import PREFILL_CHUNK

Precision = Literal["fp32", "bf16", "int8", "int4"]
BITS: dict[Precision, int] = {"fp32": 32, "bf16": 16, "int8": 8, "int4": 4}
# `--quant` and the bytes of what is not rounded, for each precision.
_HELD: dict[Precision, tuple[Quant, int]] = {
    "fp32": ("none", 4),
    "bf16": ("none", 2),
    "int8": ("int8", 2),
    "int4": ("int4", 2),
}
FIRST_CONTEXTS = (1024, 4096)  # then by doubling
FILE_GROUP = 128  # parameters to a scale in most GPTQ and AWQ files


@dataclass(frozen=True)
class PerDtype:
    """Bytes by how wide a value of the KV cache is. int8 is arithmetic, one byte per value: this
    tool's caches have the dtype that is computed in, and scales are not counted."""

    fp32: int
    bf16: int
    int8: int

    def times(self, count: int) -> "PerDtype":
        return PerDtype(self.fp32 * count, self.bf16 * count, self.int8 * count)


@dataclass(frozen=True)
class KVCacheMemory:
    """The KV cache: 2 (keys, values) × layers × KV heads × head width × bytes per value."""

    bytes_per_token: PerDtype


@dataclass(frozen=True)
class CacheAt:
    """The KV cache when it holds `tokens`."""

    tokens: int
    bytes: PerDtype


@dataclass(frozen=True)
class Sharing:
    """The KV cache as it would be with this many KV heads, per token and at the model's context;
    `this_model`: as it is."""

    kind: str
    kv_heads: int
    this_model: bool
    bytes_per_token: PerDtype
    bytes_at_context: PerDtype


@dataclass(frozen=True)
class HeldPart:
    """One term of what is held: the `values` of a component, each of `bits`. `bytes` is what they
    take: more than that where rows and columns are padded."""

    component: str
    form: Form
    values: int
    bits: int
    bytes: int


@dataclass(frozen=True)
class WeightMemory:
    """Weights in one precision. `naive_bytes`: parameters × bits. `held_bytes`: what this tool
    holds, the sum of `parts`; None where nothing tells, or where the files are packed already.
    With fp32 that is what native kernels hold: matrices that lie in bf16 in the files stay so."""

    precision: Precision
    naive_bytes: int
    held_bytes: int | None
    parts: tuple[HeldPart, ...]


@dataclass(frozen=True)
class PackedMemory:
    """The weights of packed files as this tool holds them."""

    held_bytes: int
    parts: tuple[HeldPart, ...]


@dataclass(frozen=True)
class FileLayout:
    """4 bits about as GPTQ and AWQ files most often have them: for every 128 parameters of the
    matrices of attention and MLP a scale of 16 bits and a zero point of 4, all else in 16 bit. Rows
    that are no multiple of 128 long take a little more."""

    matrix_parameters: int
    other_parameters: int
    code_bytes: int
    scale_bytes: int
    zero_bytes: int
    other_bytes: int
    bytes: int


@dataclass(frozen=True)
class Activations:
    """An estimate of what torch holds besides weights and cache at the widest of a pass over a
    prompt's first `positions`: `per_position` numbers for each, and logits of the last in fp32.

    Native kernels hold up to a third less; torch in bf16, on a CPU without arithmetic for it, up to
    1.8 times as much. Not in it, where torch attends, are the masks that windows and later
    passes need (positions × all that are seen, a byte and a number each), and the scores that it
    writes out where the family caps them.
    """

    positions: int
    per_position: int
    formula: str
    fp32_bytes: int
    bf16_bytes: int


@dataclass(frozen=True)
class Longest:
    """The longest context, by the cache's dtype, whose KV cache fits beside the weights; None:
    the weights alone do not. It is at most the model's own."""

    weights: str
    weight_bytes: int
    left_bytes: int
    fp32_tokens: int | None
    bf16_tokens: int | None
    int8_tokens: int | None


@dataclass(frozen=True)
class Fit:
    budget_bytes: int
    longest: tuple[Longest, ...]


@dataclass(frozen=True)
class Memory:
    """All of it. Where there is no config.json, a count is all that is known: the naive rows."""

    parameters: int
    file_bytes: int
    weights: tuple[WeightMemory, ...]
    packed: PackedMemory | None = None
    file_layout: FileLayout | None = None
    per_token: PerDtype | None = field(default=None, metadata={"json": False})
    contexts: tuple[CacheAt, ...] = ()
    sharing: tuple[Sharing, ...] = ()
    activations: Activations | None = None
    fit: Fit | None = None


def kv_cache_memory(config: ModelConfig) -> KVCacheMemory:
    return KVCacheMemory(_per_value(config.kv_values_per_token()))


def counted_memory(parameters: int, file_bytes: int) -> Memory:
    """What a count alone tells."""
    weights = (WeightMemory(name, parameters * bits // 8, None, ()) for name, bits in BITS.items())
    return Memory(parameters, file_bytes, tuple(weights))


def model_memory(
    config: ModelConfig,
    expected: Sequence[Expected] | None,
    headers: Mapping[str, TensorHeader],
    *,
    parameters: int,
    file_bytes: int,
) -> Memory:
    """`expected` are the tensors that the files must hold, packed or not; None: this tool cannot
    load them; `headers` are what is there of them. `parameters` is how many they stand for, each
    counted once."""
    counted = counted_memory(parameters, file_bytes)
    known = replace(
        counted,
        per_token=kv_cache_memory(config).bytes_per_token,
        contexts=tuple(_contexts(config)),
        sharing=tuple(_sharing(config)),
        activations=estimated_activations(config),
    )
    if expected is None:
        return known
    if any(tensor.packing is not None for tensor in expected):
        parts = _parts(expected, 2)
        return replace(known, packed=PackedMemory(sum(part.bytes for part in parts), parts))
    narrow = kept_narrow(expected, headers)
    return replace(
        known,
        weights=tuple(_weights(row, expected, narrow, config.tied) for row in counted.weights),
        file_layout=_file_layout(expected),
    )


def fit(memory: Memory, budget_bytes: int) -> Memory:
    """The same with the longest context for each way to hold the weights, within that budget.
    Raises ValueError where a count is all that is known."""
    if memory.per_token is None:
        raise ValueError("nothing tells the size of the KV cache")
    ways = [(row.precision, row.held_bytes) for row in memory.weights if row.held_bytes is not None]
    rows = [(str(name), n_bytes) for name, n_bytes in ways]
    if memory.packed is not None:
        rows.append(("as packed", memory.packed.held_bytes))
    each, most = memory.per_token, memory.contexts[-1].tokens

    def longest(name: str, held_bytes: int) -> Longest:
        left = budget_bytes - held_bytes
        counts = (
            None if left < 0 else min(left // per_token, most)
            for per_token in (each.fp32, each.bf16, each.int8)
        )
        return Longest(name, held_bytes, left, *counts)

    return replace(memory, fit=Fit(budget_bytes, tuple(longest(*row) for row in rows)))


def _per_value(values: int) -> PerDtype:
    return PerDtype(fp32=4 * values, bf16=2 * values, int8=values)


def _contexts(config: ModelConfig) -> Iterator[CacheAt]:
    """Round numbers below the model's context, and that itself."""
    each = kv_cache_memory(config).bytes_per_token
    tokens = FIRST_CONTEXTS[0]
    while tokens < config.context:
        yield CacheAt(tokens, each.times(tokens))
        tokens = FIRST_CONTEXTS[1] if tokens == FIRST_CONTEXTS[0] else 2 * tokens
    yield CacheAt(config.context, each.times(config.context))


def _sharing(config: ModelConfig) -> Iterator[Sharing]:
    """From a KV head for each query head to one for all, this model's own way among them."""
    heads = {config.n_heads: "MHA", 1: "MQA", config.n_kv_heads: config.attention_kind}
    for n_heads, kind in sorted(heads.items(), reverse=True):
        each = _per_value(config.kv_values_per_token() // config.n_kv_heads * n_heads)
        own = n_heads == config.n_kv_heads
        yield Sharing(kind, n_heads, own, each, each.times(config.context))


def estimated_activations(config: ModelConfig) -> Activations:
    """What torch holds of a block at its widest, as `core.model` and `core.attention` have it.

    In attention that is the residual stream (embedded, and as the block reads it), its normed copy,
    queries, keys and values, again where they are normed, and three times the queries while they
    are rotated. In the MLP it is the residual stream thrice, what attention added, the normed copy,
    and gate, up, the activated gate and the product; without a gate up, the same activated, and
    what the block adds.
    """
    d, d_q, d_kv, d_ff = config.d_model, config.d_q, config.d_kv, config.d_ff
    normed = config.norm_places != "after"
    again = config.qk_norm != "none"
    attention = [(2 + normed, d), (4 + again, d_q), (2 + again, d_kv)]
    mlp = [(4 + normed, d), (4, d_ff)] if config.gated else [(5 + normed, d), (2, d_ff)]
    widest = max(attention, mlp, key=_sum)
    positions = min(PREFILL_CHUNK, config.context)
    numbers, logits = positions * _sum(widest), 4 * config.vocab_size
    terms = " + ".join(f"{count}·{width}" for count, width in widest)
    return Activations(
        positions=positions,
        per_position=_sum(widest),
        formula=f"{positions} × ({terms}) × bytes + {config.vocab_size} × 4",
        fp32_bytes=numbers * 4 + logits,
        bf16_bytes=numbers * 2 + logits,
    )


def _sum(terms: Iterable[tuple[int, int]]) -> int:
    return sum(count * width for count, width in terms)


def _weights(
    row: WeightMemory, expected: Sequence[Expected], narrow: Collection[str], tied: bool
) -> WeightMemory:
    quant, itemsize = _HELD[row.precision]
    if quant != "none":
        expected = [rounded(tensor, OWN[quant], tied=tied) for tensor in expected]
    parts = _parts(expected, itemsize, narrow)
    return replace(row, held_bytes=sum(part.bytes for part in parts), parts=parts)


def _parts(
    expected: Iterable[Expected], itemsize: int, narrow: Collection[str] = ()
) -> tuple[HeldPart, ...]:
    """What is held, the same kinds of a component together."""
    sums: dict[tuple[str, Form, int], tuple[int, int]] = {}
    for part in held(expected, itemsize, narrow):
        key = part.component, part.form, part.bits
        values, n_bytes = sums.get(key, (0, 0))
        sums[key] = values + part.values, n_bytes + part.n_bytes
    return tuple(
        HeldPart(component, form, values, bits, n_bytes)
        for (component, form, bits), (values, n_bytes) in sums.items()
        if n_bytes
    )


def _file_layout(expected: Iterable[Expected]) -> FileLayout:
    matrices = other = 0
    for tensor in expected:
        count = math.prod(tensor.shape)
        if tensor.component in ("attention", "mlp") and len(tensor.shape) == 2:
            matrices += count
        else:
            other += count
    groups = -(-matrices // FILE_GROUP)
    parts = (matrices // 2, groups * 2, groups // 2, other * 2)
    return FileLayout(matrices, other, *parts, sum(parts))
