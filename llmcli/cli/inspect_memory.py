"""Weights by precision, the KV cache by context, activations, and what fits, as a page.

It knows what the rows say, and what they leave out; the figures come from `views.memory`.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmcli.cli.inspect_words import headline, kv_cache_line
from llmcli.cli.page import Grid, Notes, Page, Record
from llmcli.cli.table import Row, size
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.views.inspection import Inspection
    from llmcli.views.memory import Memory

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)(i?)b?", re.IGNORECASE)
UNKNOWN = "unknown"


def parse_size(text: str, option: str) -> int:
    """Bytes of `8GiB`, `8G` (both binary), `8GB` (decimal), `512 MiB`. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option} must be a size like 8GiB or 512MiB, not {text!r}")
    number, unit, binary = match.groups()
    decimal = text.strip().lower().endswith("b") and not binary
    base = 1000 if decimal else 1024
    n_bytes = int(float(number) * base ** ("kmgt".index(unit.lower()) + 1 if unit else 0))
    if n_bytes == 0:
        raise UsageError(f"{option} must be more than 0")
    return n_bytes


def memory(report: "Inspection") -> Page:
    told = report.memory
    parts: list[Grid | Notes] = [_weights(told), Notes(list(_weight_notes(report)))]
    if told.contexts:
        parts += [_contexts(told), _sharing(told), Notes(list(_cache_notes(report)))]
    if told.fit is not None:
        parts += [_fit(told), Notes(list(_fit_notes(told)))]
    return Page(headline(report), parts, list(_records(told)))


def _weights(told: "Memory") -> Grid:
    rows: list[Row] = [("weights", "parameters × bits", "as held here", "bits per parameter")]
    for row in told.weights:
        bits, held = "", "not known" if told.packed is None else ""
        if row.held_bytes is not None:
            held, bits = size(row.held_bytes), _bits(row.held_bytes, told)
        rows.append((row.precision, size(row.naive_bytes), held, bits))
    if told.packed is not None:
        n_bytes = told.packed.held_bytes
        rows.append(("as packed", "", size(n_bytes), _bits(n_bytes, told)))
    return Grid([rows], (1, 2, 3))


def _bits(n_bytes: int, told: "Memory") -> str:
    """What a parameter takes, everything counted."""
    return f"{8 * n_bytes / told.parameters:.2f}" if told.parameters else ""


def _weight_notes(report: "Inspection") -> Iterator[str]:
    told = report.memory
    yield f"In the files: {size(told.file_bytes)}."
    if report.family is None:
        yield (
            "No config.json of a known family: what is held, the KV cache and activations cannot "
            "be told."
        )
        return
    if told.packed is not None:
        yield f"Packed already ({report.quantized}): --quant does not round it anew."
    elif told.file_layout is not None:
        yield (
            "int8 has a scale for each row, int4 one for 32 columns; the matrix of the vocabulary "
            "keeps 8 bits. What is not rounded is in bf16, norms in fp32."
        )
        fp32 = told.weights[0]
        if fp32.held_bytes is not None and fp32.held_bytes < fp32.naive_bytes:
            yield (
                "fp32: on the CPU, matrices that lie in bf16 in the files stay so and are widened "
                "as they are read; without the native kernels, or on CUDA, they take what "
                "parameters × bits says."
            )
        layout = told.file_layout
        yield (
            f"As GPTQ and AWQ files have int4 (groups of 128, embeddings in 16 bit): "
            f"{size(told.parameters // 2)} naive, about {size(layout.bytes)} in all."
        )
    else:
        yield "This tool does not load a model that is packed so: only counts are told."


def _contexts(told: "Memory") -> Grid:
    rows: list[Row] = [("KV cache of", "fp32", "bf16", "int8")]
    if told.per_token is not None:
        each = told.per_token
        rows.append(("1 token", size(each.fp32), size(each.bf16), size(each.int8)))
    for at in told.contexts:
        sizes = (size(at.bytes.fp32), size(at.bytes.bf16), size(at.bytes.int8))
        rows.append((f"{at.tokens:,} tokens", *sizes))
    return Grid([rows], (0, 1, 2, 3))


def _sharing(told: "Memory") -> Grid:
    most = told.contexts[-1].tokens
    rows: list[Row] = [("if it were", "KV heads", "bf16 per token", f"at {most:,} tokens", "")]
    for row in told.sharing:
        each, whole = size(row.bytes_per_token.bf16), size(row.bytes_at_context.bf16)
        own = "this model" if row.this_model else ""
        rows.append((row.kind, f"{row.kv_heads}", each, whole, own))
    return Grid([rows], (1, 2, 3))


def _cache_notes(report: "Inspection") -> Iterator[str]:
    line = kv_cache_line(report)
    if line is not None:
        yield f"{line}."
    yield "int8 caches are arithmetic: a cache here has the dtype that is computed in."
    forward = report.forward
    if forward is not None and any(kind.window is not None for kind in forward.layer_kinds):
        yield "Layers with a window keep all positions in the cache too."
    activations = report.memory.activations
    if activations is not None:
        yield (
            f"Activations, an estimate: {size(activations.fp32_bytes)} in fp32, "
            f"{size(activations.bf16_bytes)} in bf16, while the first {activations.positions:,} "
            f"positions of a prompt are computed: {activations.formula}."
        )


def _fit(told: "Memory") -> Grid:
    rows: list[Row] = []
    if told.fit is not None:
        budget = size(told.fit.budget_bytes)
        rows.append((f"in {budget}", "weights", "left", "fp32 cache", "bf16 cache", "int8 cache"))
        most = told.contexts[-1].tokens
        for row in told.fit.longest:
            left = size(row.left_bytes) if row.left_bytes >= 0 else "none"
            tokens = (row.fp32_tokens, row.bf16_tokens, row.int8_tokens)
            rows.append(
                (row.weights, size(row.weight_bytes), left, *(_tokens(n, most) for n in tokens))
            )
    return Grid([rows], (1, 2, 3, 4, 5))


def _tokens(count: int | None, most: int) -> str:
    if count is None:
        return "no"
    return f"{count:,}" if count < most else f"all {most:,}"


def _fit_notes(told: "Memory") -> Iterator[str]:
    yield "Longest context in tokens; all: the model's own. no: the weights alone do not fit."
    yield (
        "Not counted: activations, Python and torch themselves (some 200 MiB and more), one "
        "layer's old keys and values while a cache grows, and what loading takes on the way."
    )


def _records(told: "Memory") -> Iterator[Record]:
    """A figure a row, so that one table holds all."""
    yield ("figure", "precision", "tokens", "bytes")
    for row in told.weights:
        yield ("weights_naive", row.precision, None, row.naive_bytes)
        if row.held_bytes is not None:
            yield ("weights_held", row.precision, None, row.held_bytes)
    if told.packed is not None:
        yield ("weights_held", "as packed", None, told.packed.held_bytes)
    yield ("files", None, None, told.file_bytes)
    for at in told.contexts:
        for name in ("fp32", "bf16", "int8"):
            yield ("kv_cache", name, at.tokens, getattr(at.bytes, name))
    for shared in told.sharing:
        for name in ("fp32", "bf16", "int8"):
            figure = f"kv_cache_{shared.kind.lower()}_{shared.kv_heads}_heads"
            yield (figure, name, told.contexts[-1].tokens, getattr(shared.bytes_at_context, name))
    if told.activations is not None:
        estimate = told.activations
        yield ("activations_estimate", "fp32", estimate.positions, estimate.fp32_bytes)
        yield ("activations_estimate", "bf16", estimate.positions, estimate.bf16_bytes)
    if told.fit is not None:
        for fits in told.fit.longest:
            for name in ("fp32", "bf16", "int8"):
                count = getattr(fits, f"{name}_tokens")
                figure = f"longest_context_{name}_cache"
                yield (figure, fits.weights, count, told.fit.budget_bytes)
