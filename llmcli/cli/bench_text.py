"""How a benchmark is shown: table, Markdown, CSV, JSON Lines, and its results in plain sentences.

It knows nothing of how anything is measured.
"""

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from llmcli.cli.output import safe
from llmcli.cli.table import JSON, FittedTable, Joined, Row, cell
from llmcli.reports import to_json, to_plain

if TYPE_CHECKING:
    from rich.console import RenderableType

    from llmcli.bench.report import BenchTest, Comparison, Report

HEADER: Row = ("test", "cache", "t/s", "ms", "TTFT ms", "ITL p50", "ITL p95")
NUMBERS = (2, 3, 4, 5, 6)
NOISY = "*"


def table(report: "Report") -> "RenderableType":
    """Tests, what they show, and what they ran on."""
    from rich.console import Group
    from rich.text import Text

    rows = [HEADER, *map(_row, report.tests)]
    narrower = [[row[:width] for row in rows] for width in (7, 6, 5, 3)]
    notes = [Text(line) for line in conclusions(report)]
    return Group(
        FittedTable(narrower, right=NUMBERS, all_in=JSON),
        Text(),
        *notes,
        Text(),
        Joined(_facts(report)),
    )


def markdown(report: "Report") -> str:
    """The same as `table`, in Markdown."""
    rule = [":--" if column not in NUMBERS else "--:" for column in range(len(HEADER))]
    rows = [HEADER, tuple(rule), *map(_row, report.tests)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = [f"- {line}" for line in (*conclusions(report), " · ".join(_facts(report)))]
    return "\n".join([*lines, "", *(note.replace("*", "\\*") for note in notes)])


def comma_separated(report: "Report") -> str:
    """A header and one row per test, in raw numbers."""
    rows = [_flat(report, test) for test in report.tests]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def json_line(kind: str, part: Any) -> str:
    """One document of a JSON Lines stream, its `type` first."""
    return to_json({"type": kind, **to_plain(part)}, indent=None)


def summary_line(report: "Report") -> str:
    """The last line of such a stream: what the report says besides tests and comparisons."""
    plain = to_plain(report)
    del plain["tests"], plain["comparison"]
    return json_line("summary", plain)


def conclusions(report: "Report") -> Iterator[str]:
    """Plain sentences: the proof, the speed-ups, the memory, and what to be careful of."""
    for comparison in report.comparison:
        name = f"{_name(comparison)}: " if len(report.comparison) > 1 else ""
        yield name + _proof(comparison)
        if not comparison.runs_identical:
            yield f"{name}Timed runs did not all repeat these tokens."
        yield name + _speedups(comparison)
    longest = max(
        (test.kv_cache for test in report.tests if test.kv_cache is not None),
        key=lambda held: held.n_positions,
        default=None,
    )
    if longest is not None:
        yield (
            f"KV cache: {longest.n_positions:,} positions × {longest.bytes_per_token:,} bytes = "
            f"{longest.used_bytes:,} used, {longest.allocated_bytes:,} allocated."
        )
    if any(test.noisy for test in report.tests):
        yield f"{NOISY} varies by more than 5% from run to run: treat it as rough."


def _row(test: "BenchTest") -> Row:
    spread = "" if test.stddev_ts is None else f" ± {test.stddev_ts:,.1f}"
    itl = test.itl_ms
    return (
        test.name,
        test.cache,
        # A place is kept for the mark, so that numbers stay below each other.
        f"{test.avg_ts:,.1f}{spread}{NOISY if test.noisy else ' '}",
        _ms(test.avg_ns / 1e6),
        _ms(test.ttft_ms),
        _ms(itl.p50 if itl else None),
        _ms(itl.p95 if itl else None),
    )


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _name(comparison: "Comparison") -> str:
    from llmcli.bench.plan import case_name

    return case_name(comparison.n_prompt, comparison.n_gen, comparison.n_depth)


def _proof(comparison: "Comparison") -> str:
    largest = f"largest logit difference {comparison.max_abs_logit_diff:.1e}"
    first = comparison.first_difference
    if first is None:
        count = comparison.n_gen
        return f"Both gave the same {count:,} token{'' if count == 1 else 's'}; {largest}."
    apart = f"lie {first.margin:.1e} apart" if first.margin else "are equal"
    return (
        f"They differ from token {first.step + 1:,} of {comparison.n_gen:,} on: "
        f"id {first.tokens['on']} with the cache, {first.tokens['off']} without. The two best "
        f"logits {apart} there; {largest}."
    )


def _speedups(comparison: "Comparison") -> str:
    parts = (
        ("decode", comparison.speedup, comparison.speedup_distinguishable),
        ("whole request", comparison.total_speedup, comparison.total_distinguishable),
        ("prefill", comparison.prefill_speedup, comparison.prefill_distinguishable),
    )
    said = ", ".join(
        f"{name} not distinguishable" if apart is False else f"{name} {ratio:.2f} times as fast"
        for name, ratio, apart in parts
        if ratio is not None
    )
    unknown = comparison.total_distinguishable is None
    return f"With the cache: {said}{' (one repetition: noise unknown)' if unknown else ''}."


def _facts(report: "Report") -> list[str]:
    machine = report.machine
    facts = [
        cell(report.model),
        f"{report.model_n_params:,} parameters",
        ", ".join(filter(None, (machine.quantization, machine.dtype))),
        f"{machine.device} ({cell(machine.gpu_info or machine.cpu_info)})",
        f"{machine.n_threads} thread{'' if machine.n_threads == 1 else 's'}",
        f"kernels: {machine.kernels}",
        f"torch {machine.torch_version}",
        f"batch {machine.batch_size}",
        f"prompt: {cell(report.prompt)}",
        f"{report.repetitions} timed after 1 warm-up",
    ]
    if machine.load_average is not None:
        facts.append(f"load average {machine.load_average[0]:.2f}, {machine.n_cpus} CPUs")
    return facts


def _flat(report: "Report", test: "BenchTest") -> dict[str, Any]:
    machine = report.machine
    plain = to_plain(test)
    latencies, held = plain.pop("itl_ms") or {}, plain.pop("kv_cache") or {}
    for samples in ("samples_ns", "samples_ts"):
        del plain[samples]
    return {
        "model": safe(report.model),
        "model_n_params": report.model_n_params,
        "model_size": report.model_size,
        "device": machine.device,
        "dtype": machine.dtype,
        "quantization": machine.quantization,
        "kernels": machine.kernels,
        "n_threads": machine.n_threads,
        "test_time": machine.test_time,
        **plain,
        **{f"itl_{key}_ms": latencies.get(key) for key in ("p50", "p95", "p99", "max")},
        "kv_used_bytes": held.get("used_bytes"),
        "kv_allocated_bytes": held.get("allocated_bytes"),
    }
