"""Timings of one answer, for people: as the line below it, and as a table.

It knows how figures are written, and nothing of how they are measured.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmcli.cli.output import Output
from llmcli.cli.table import Row, size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from llmcli.engine.timings import Timings

KIB = 1024
SEPARATOR = " | "


class Footer:
    """Groups of figures on one line; on a narrow terminal broken between two groups only."""

    def __init__(self, groups: Sequence[str]) -> None:
        self.groups = groups

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        lines = [self.groups[0]]
        for group in self.groups[1:]:
            joined = lines[-1] + SEPARATOR + group
            # A pipe has no width.
            if options.no_wrap or len(joined) <= options.max_width:
                lines[-1] = joined
            else:
                lines.append(group)
        yield Text("\n".join(lines), "dim")


def footer(timings: "Timings", context_used: int, context: int, *more: str) -> Footer:
    """The line under an answer, with `more` groups at its end. Figures that do not exist, as in an
    answer cut short, are left out; rates count new prompt tokens only, and decoding from the second
    token on."""
    prefill = [
        f"prefill {timings.prompt_tokens} tok ({timings.cached_tokens} reused)",
        milliseconds(timings.prefill_ms),
    ]
    if timings.prefill_tps is not None:
        prefill.append(rate(timings.prefill_tps))
    groups = [" · ".join(prefill)]
    if timings.ttft_ms is not None:
        digits = 2 if timings.ttft_ms >= 10 else 3
        groups.append(f"TTFT {timings.ttft_ms / 1000:.{digits}f} s")
    if timings.decode_tps is not None and timings.itl_ms is not None:
        p50, p95 = figure(timings.itl_ms.p50), milliseconds(timings.itl_ms.p95)
        groups.append(
            f"decode {timings.decode_tokens} tok · {rate(timings.decode_tps)} · "
            f"ITL p50 {p50} p95 {p95}"
        )
    share, held = context_used / context, kv_size(timings.kv_bytes)
    groups.append(f"ctx {context_used}/{context} ({share:.0%}) · KV {held}")
    return Footer([*groups, *more])


def show_footer(
    output: Output, timings: "Timings", context_used: int, context: int, *more: str
) -> None:
    output.console(stderr=True).print(footer(timings, context_used, context, *more))


def timings_wanted(asked: bool | None, output: Output) -> bool:
    """Whether to show the footer: as asked, else where a person reads stderr; never if quiet."""
    return not output.quiet and (output.stderr.isatty() if asked is None else asked)


def timings_rows(timings: "Timings", context_used: int, context: int) -> list[Row]:
    """All that is known of the last answer."""
    rows: list[Row] = [
        ("last answer", ""),
        (
            "prompt",
            f"{timings.prompt_tokens:,} tokens: {timings.cached_tokens:,} reused, "
            f"{timings.new_prompt_tokens:,} computed",
        ),
        ("prefill", _joined(milliseconds(timings.prefill_ms), _rate_or_none(timings.prefill_tps))),
    ]
    if timings.ttft_ms is not None:
        rows.append(("first token", f"after {milliseconds(timings.ttft_ms)}"))
    if timings.itl_ms is not None:
        gaps = timings.itl_ms
        rows += [
            (
                "decode",
                _joined(
                    f"{timings.decode_tokens:,} tokens after the first",
                    milliseconds(timings.decode_ms),
                    _rate_or_none(timings.decode_tps),
                ),
            ),
            (
                "between tokens",
                f"p50 {figure(gaps.p50)} · p95 {figure(gaps.p95)} · p99 {figure(gaps.p99)} · "
                f"max {milliseconds(gaps.max)}",
            ),
            (
                "of that",
                f"forward passes {milliseconds(timings.forward_ms)} · "
                f"sampling {milliseconds(timings.sample_ms)}",
            ),
        ]
    return [
        *rows,
        ("ids to text", milliseconds(timings.detok_ms)),
        ("conversation", f"{context_used:,} of {context:,} tokens ({context_used / context:.0%})"),
        (
            "KV cache",
            f"{kv_size(timings.kv_bytes)} · {size(timings.kv_bytes_per_token)} per token",
        ),
        ("loading", f"{timings.load_s:.2f} s"),
        ("memory at most", size(timings.peak_rss_bytes)),
    ]


def figure(value: float) -> str:
    """Two or three digits that matter: `0.42`, `4.2`, `42`, `4,200`."""
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def milliseconds(value: float) -> str:
    return f"{figure(value)} ms"


def rate(per_second: float) -> str:
    """Tokens per second: one decimal below 100."""
    digits = 0 if per_second >= 99.95 else 1
    return f"{per_second:,.{digits}f} tok/s"


def kv_size(n_bytes: int) -> str:
    """What the cache holds, in MiB from one on; without a cache, `off`."""
    if n_bytes == 0:
        return "off"
    if n_bytes < KIB**2:
        return f"{figure(n_bytes / KIB)} KiB"
    return f"{figure(n_bytes / KIB**2)} MiB"


def _rate_or_none(per_second: float | None) -> str:
    return "" if per_second is None else rate(per_second)


def _joined(*facts: str) -> str:
    return " · ".join(fact for fact in facts if fact)
