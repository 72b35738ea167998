"""The words that all looks of `inspect` share: headline, shapes, concepts, counts, shares.

It knows how a thing is said, not what a look is made of.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmcli.cli.table import cell, size

if TYPE_CHECKING:
    from llmcli.views.inspection import Inspection, ReadFrom

_COMMIT_SHOWN = 12


def headline(report: "Inspection") -> list[str]:
    """The model in short facts."""
    totals = report.totals
    facts = [f"{cell(report.model)}: {report.family or 'family unknown'}"]
    facts.append(counted(totals.parameters, "parameter"))
    if report.quantized is not None:
        facts.append(cell(report.quantized))
    facts += [report.dtype or "no tensors", size(totals.bytes)]
    attention = report.attention
    if attention is not None:
        heads = counted(attention.query_heads, "query head")
        if attention.sharing == 1:
            facts.append(f"{attention.kind}, {heads}, a KV head each")
        else:
            shared = counted(attention.kv_heads, "KV head")
            facts.append(f"{attention.kind}, {heads} share {shared} ({attention.sharing}:1)")
        facts += [f"context {report.context:,}", f"vocabulary {report.vocab_size:,}"]
        facts.append("tied head" if report.tied else "untied head")
    return facts


def read_cost(model: str, source: "ReadFrom", n_bytes: int) -> str:
    """What it took to read the headers of a model over the network, of whose tensors `n_bytes` stay
    there."""
    return (
        f"{at_commit(model, source)}: read headers alone, in "
        f"{counted(source.requests, 'request')}, {size(source.bytes_read)}; the tensors stay "
        f"there, {size(n_bytes)}"
    )


def at_commit(model: str, source: "ReadFrom") -> str:
    """The model, and, where it is one on the hub, the commit that was read."""
    commit = f" at {source.commit[:_COMMIT_SHOWN]}" if source.commit else ""
    return f"{cell(model)}{commit}"


def kv_cache_line(report: "Inspection") -> str | None:
    """The KV cache per token, with its formula; None where nothing tells."""
    if report.kv_cache is None or report.attention is None:
        return None
    heads = counted(report.attention.kv_heads, "KV head")
    return (
        f"KV cache {size(report.kv_cache.bytes_per_token.bf16)} per token in 16 bit: "
        f"2 × {report.layers} layers × {heads} × {report.attention.head_dim} × 2 B"
    )


def shape(widths: Sequence[int]) -> str:
    return "×".join(map(str, widths)) or "scalar"


def concept(name: str | None, heads: tuple[int, int] | None) -> str:
    return (name or "") + (f" {heads[0]}×{heads[1]}" if heads else "")


def share(part: float) -> str:
    return "<0.1%" if 0 < part < 0.0005 else f"{part:.1%}"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def span(numbers: Sequence[int]) -> str:
    """`3`, `1-4`, or `0-4,6-10` where numbers in between are missing."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
