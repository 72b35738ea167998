"""Where the figures of `inspect` come from: each formula with this model's numbers in it.

It knows the arithmetic in words; every number in it is one of the report's own.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from llmcli.cli.inspect_params import checks, token_tables
from llmcli.cli.inspect_words import share
from llmcli.cli.page import Notes
from llmcli.cli.table import size

if TYPE_CHECKING:
    from llmcli.views.inspection import Inspection
    from llmcli.views.memory import FileLayout, HeldPart, Memory

Look = Literal["inventory", "params", "memory", "tree", "by", "stats"]


def explanation(report: "Inspection", look: Look) -> Notes:
    """The lines for one look."""
    lines = list(_memory(report) if look == "memory" else _counts(report))
    return Notes([*lines, *_cache(report)], drawing=True)


def _counts(report: "Inspection") -> Iterator[str]:
    yield "parameters: the product of a matrix's widths, summed by component"
    total = report.totals.stored_parameters
    for row in report.components:
        given = row.formula or "what the family has no place for"
        yield f"  {row.component:<10} {given}"
        yield f"  {'':<10} = {row.parameters:,}; / {total:,} = {share(row.share)}"
    totals = report.totals
    counts = {row.component: row.parameters for row in report.components}
    copy = counts.get("lm_head", 0) if report.tied else 0
    buffers = counts.get("buffers", 0)
    yield "counts"
    yield "  stored         = all components together"
    yield f"                 = {total:,}"
    yield (
        f"  unique         = stored - buffers - copy of a tied head\n"
        f"                 = {total:,} - {buffers:,} - {copy:,} = {totals.parameters:,}"
    )
    if report.family is not None:
        left_out = totals.parameters - totals.non_embedding_parameters
        yield (
            f"  non-embedding  = unique - {token_tables(report)}\n"
            f"                 = {totals.parameters:,} - {left_out:,} = "
            f"{totals.non_embedding_parameters:,}"
        )
    yield "bytes: values × width of the dtype, as the headers' offsets have them"
    yield from (f"  {line}" for line in checks(report))


def _cache(report: "Inspection") -> Iterator[str]:
    attention, told = report.attention, report.memory
    if attention is None or report.kv_cache is None or report.layers is None:
        return
    values = report.kv_cache.bytes_per_token.int8
    most = told.contexts[-1].tokens
    n_bytes = 2 * values
    yield "KV cache: 2 (keys, values) × layers × KV heads × head width × bytes, per token"
    yield (
        f"  2 × {report.layers} × {attention.kv_heads} × {attention.head_dim} = {values:,} values"
        f" × 2 B (bf16) = {n_bytes:,} B = {size(n_bytes)}"
    )
    yield f"  × {most:,} tokens = {n_bytes * most:,} B = {size(n_bytes * most)}"
    yield (
        f"  {attention.query_heads} query heads / {attention.kv_heads} KV heads = "
        f"{attention.sharing} times smaller than MHA, a KV head for each"
    )


def _memory(report: "Inspection") -> Iterator[str]:
    told = report.memory
    for row in told.weights:
        bits = row.naive_bytes * 8 // told.parameters if told.parameters else 0
        yield (
            f"{row.precision}: {told.parameters:,} × {bits} / 8 = {row.naive_bytes:,} B = "
            f"{size(row.naive_bytes)}, naive"
        )
        if row.held_bytes is not None:
            yield from _parts(row.parts, row.held_bytes)
    if told.packed is not None:
        yield f"as packed: {report.quantized}"
        yield from _parts(told.packed.parts, told.packed.held_bytes)
    if told.file_layout is not None:
        yield from _file_layout(told.file_layout)
    yield from _fit(told)
    if told.activations is not None:
        estimate = told.activations
        yield "activations, an estimate: what torch holds of a block at its widest, and logits"
        for name, width, n_bytes in (
            ("fp32", 4, estimate.fp32_bytes),
            ("bf16", 2, estimate.bf16_bytes),
        ):
            formula = estimate.formula.replace("bytes", str(width))
            yield f"  {name}: {formula} = {n_bytes:,} B = {size(n_bytes)}"
        yield "  native kernels hold up to a third less"
        yield "  not in it: masks, which windows and all later positions need, and scores, since"
        yield "  attention is computed in pieces (but by torch where scores are capped)"


def _parts(parts: "Sequence[HeldPart]", total: int) -> Iterator[str]:
    for part in parts:
        exact = part.values * part.bits // 8
        padding = f" + {part.bytes - exact:,} padding" if part.bytes != exact else ""
        what = f"{part.component} {part.form}" if part.form != "plain" else part.component
        yield f"  {what:<18} {part.values:>15,} × {part.bits:>2} / 8{padding} = {part.bytes:,} B"
    yield f"  {'as held here':<18} {total:,} B = {size(total)}"


def _file_layout(layout: "FileLayout") -> Iterator[str]:
    groups = layout.scale_bytes // 2
    yield "int4 as GPTQ and AWQ files have it, in groups of 128, all else in 16 bit"
    for what, count, bits, n_bytes in (
        ("codes", layout.matrix_parameters, 4, layout.code_bytes),
        ("scales", groups, 16, layout.scale_bytes),
        ("zero points", groups, 4, layout.zero_bytes),
        ("all else", layout.other_parameters, 16, layout.other_bytes),
    ):
        yield f"  {what:<18} {count:>15,} × {bits:>2} / 8 = {n_bytes:,} B"
    yield f"  {'together':<18} {layout.bytes:,} B = {size(layout.bytes)}"


def _fit(told: "Memory") -> Iterator[str]:
    if told.fit is None or told.per_token is None:
        return
    budget, each = told.fit.budget_bytes, told.per_token.bf16
    yield f"fit: (budget - weights) / bytes per token, a bf16 cache, in {size(budget)}"
    for row in told.fit.longest:
        if row.bf16_tokens is None:
            yield f"  {row.weights}: {budget:,} - {row.weight_bytes:,} < 0: they do not fit"
            continue
        tokens = row.left_bytes // each
        capped = (
            "" if tokens == row.bf16_tokens else f", of which the model has {row.bf16_tokens:,}"
        )
        yield (
            f"  {row.weights}: ({budget:,} - {row.weight_bytes:,}) / {each:,} = {tokens:,}{capped}"
        )
