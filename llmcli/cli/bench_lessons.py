"""What a benchmark teaches: what each figure means, and how one run's figures come about.

It knows the formulas in words, and nothing of how anything is measured.
"""

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING

from llmcli.cli.table import size

if TYPE_CHECKING:
    from llmcli.bench.plan import Case
    from llmcli.bench.report import Comparison, Report, Setting
    from llmcli.core.config import ModelConfig

WIDTH = 80

DEFINITIONS = (
    ("pp64", "64 prompt tokens processed"),
    ("tg64", "64 tokens generated"),
    ("pp64+tg64", "both, as one request"),
    (
        " @ d128",
        "after 128 tokens that were processed before the clock ran; without a cache they are "
        "computed again within it",
    ),
    (
        "cache on",
        "keys and values of every token are kept: a pass computes only the tokens that are new",
    ),
    ("cache off", "nothing is kept: every pass computes the whole text again"),
    ("t/s", "tokens per second: mean ± standard deviation (n - 1) over the repetitions"),
    ("    of ppP", "P / prefill time"),
    ("    of tgN", "(N - 1) / decode time: the first token's time belongs to prefill"),
    ("    of ppP+tgN", "(P + N) / time of the whole request"),
    ("ms", "mean time of the test, in milliseconds"),
    ("TTFT ms", "time to first token, from the request on: the median"),
    (
        "ITL p50, p95",
        "inter-token latency, in ms: half (95%) of the gaps between tokens are no longer; "
        "over all repetitions",
    ),
    ("*", "CV (standard deviation / mean of the times) above 5%: a rough figure"),
    (
        "times as fast",
        "median time without the cache / median time with it, for the same number of tokens",
    ),
    (
        "not distinguishable",
        "the mean times differ by no more than twice the root of the sum of both variances",
    ),
    (
        "same tokens",
        "before timing, both arms generate in step: every token is compared, and every logit up "
        "to the first token that differs. A margin there as small as the logit difference is a "
        "tie that rounding decides; a large logit difference is a fault",
    ),
    (
        "KV cache",
        "2 (keys, values) × layers × KV heads × head width × bytes per number, for every token",
    ),
    (
        "prompt",
        "random ordinary tokens of the vocabulary, always the same ones; or the beginning of "
        "--prompt-file",
    ),
    (
        "generation",
        "greedy, and exactly N tokens: past end-of-text, too. Nothing is decoded to text. One "
        "request at a time (batch 1)",
    ),
    (
        "clock",
        "perf_counter_ns, the device waited for. The first round is warm-up and dropped; then "
        "the arms take turns: on, off, on, off",
    ),
)


def definitions() -> str:
    """What every figure means."""
    indent = max(len(term) for term, _ in DEFINITIONS) + 2
    return "\n".join(
        f"{term if place == 0 else '':{indent}}{line}"
        for term, meaning in DEFINITIONS
        for place, line in enumerate(wrap(meaning, WIDTH - indent))
    )


def explanation(report: "Report", config: "ModelConfig") -> str:
    """The formulas behind every comparison, with this run's numbers in them."""
    return "\n\n".join(
        "\n".join(_explain(report, config, comparison)) for comparison in report.comparison
    )


def _explain(report: "Report", config: "ModelConfig", comparison: "Comparison") -> Iterator[str]:
    from llmcli.bench.plan import Case

    case = Case(comparison.n_prompt, comparison.n_gen, comparison.n_depth)
    p, n, d = case.n_computed, case.n_gen, case.n_start - case.n_computed
    on, off = comparison.positions_computed["on"], comparison.positions_computed["off"]
    before = f", d = {d:,} before the clock ran" if d else ""
    start, formula = (f"{d + p:,}", "n (d + p)") if d else (f"{p:,}", "n p")
    yield f"{case.name}: where the time goes"
    yield f"  p = {p:,} prompt tokens, n = {n:,} generated{before}"
    yield "  With the cache, the prompt is computed once, then one position per token:"
    yield f"    p + (n - 1) = {p:,} + {n - 1:,} = {on:,} positions"
    yield "  Without it, every token takes a pass over the whole text before it:"
    yield f"    {formula} + n (n - 1) / 2 = {n:,} × {start} + {n:,} × {n - 1:,} / 2 = {off:,}"
    yield (
        f"  Whole request: {off:,} / {on:,} = {off / on:,.1f} times the positions, "
        f"{comparison.total_speedup:,.2f} times the time"
    )
    if comparison.decode_ns is not None:
        yield from _explain_decode(case, comparison.decode_ns)
    yield from _explain_memory(report, config, case)


def _explain_decode(case: "Case", times_ns: "Mapping[Setting, float]") -> Iterator[str]:
    on, off = times_ns["on"] / 1e9, times_ns["off"] / 1e9
    steps = case.n_gen - 1
    recomputed = case.positions_without_cache() - case.n_start
    yield "  Decoding, from the second token on (median times):"
    for name, seconds in (("with   ", on), ("without", off)):
        rate = steps / seconds
        yield f"    {name}  (n - 1) / time = {steps:,} / {seconds:,.4f} s = {rate:,.1f} t/s"
    yield (
        f"    {recomputed:,} / {steps:,} = {recomputed / steps:,.1f} times the positions, "
        f"{off / on:,.2f} times the time"
    )
    one_with, one_without = on / steps * 1e3, off / recomputed * 1e3
    yield f"    one position takes {one_with:,.3f} ms with, {one_without:,.3f} ms without"
    if one_without < one_with:
        yield "    A pass reads all weights, however few positions it computes: those of a"
        yield "    long pass share that cost. So time grows less than the positions do."


def _explain_memory(report: "Report", config: "ModelConfig", case: "Case") -> Iterator[str]:
    held = next(test.kv_cache for test in report.tests if test.kv_cache is not None)
    width = held.bytes_per_token // config.kv_values_per_token()
    positions = case.n_context - 1
    n_bytes = held.bytes_per_token * positions
    yield "  The price is memory: each layer's keys and values, of all tokens but the last:"
    yield (
        f"    2 × {config.n_layers} layers × {config.n_kv_heads} KV heads × {config.d_head} × "
        f"{width} bytes = {held.bytes_per_token:,} bytes per token"
    )
    yield f"    {positions:,} × {held.bytes_per_token:,} = {n_bytes:,} bytes ({size(n_bytes)})"
