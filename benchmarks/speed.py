"""All programs at all precisions, in turn: medians, ratios, and the share of the bound."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.page import table
from benchmarks.place import PYTHON, Place, Unavailable, run, tell
from benchmarks.tools import TOOLS, Llmcli, Result
from benchmarks.workload import TESTS

Arm = tuple[str, str]  # (precision, program): programs of one precision run next to each other


@dataclass
class Measured:
    """A run's raw figures: the n-th entries of all lists are of the same round. `dropped` says why
    an arm has none."""

    bandwidth_gbs: dict[str, list[float]] = field(default_factory=dict)  # by precision
    results: dict[Arm, list[Result]] = field(default_factory=dict)
    dropped: dict[Arm, str] = field(default_factory=dict)


def measure(
    folder: Path, precisions: list[str], programs: list[str], place: Place, rounds: int
) -> Measured:
    """A B C A B C: what drifts meanwhile meets all alike. The bandwidth is measured in each round,
    just before the programs of each precision."""
    measured = Measured(bandwidth_gbs={precision: [] for precision in precisions})
    for precision in precisions:
        for program in programs:
            try:
                TOOLS[program].prepare(folder, precision, place)
                measured.results[precision, program] = []
            except Unavailable as reason:
                _drop(measured, (precision, program), reason)
    for number in range(rounds):
        for arm in list(measured.results):
            precision, program = arm
            if len(measured.bandwidth_gbs[precision]) == number:
                measured.bandwidth_gbs[precision].append(bandwidth(place))
            tell(f"round {number + 1}/{rounds}: {folder.name}, {precision}, {program}")
            try:
                result = TOOLS[program].run(folder, precision, place)
                measured.results[arm].append(result)
            except Unavailable as reason:
                del measured.results[arm]
                _drop(measured, arm, reason)
            else:
                rates = ", ".join(f"{name} {rate:.1f}" for name, rate in result.rates.items())
                tell(f"  {rates} tok/s")
    return measured


def _drop(measured: Measured, arm: Arm, reason: Unavailable) -> None:
    measured.dropped[arm] = str(reason)
    tell(f"left out: {', '.join(arm)}: {reason}")


def bandwidth(place: Place) -> float:
    command = [PYTHON, "-m", "benchmarks.bandwidth", place.device, str(place.threads)]
    return float(run(command).output)


def block(measured: Measured, machine: str) -> str:
    """The figures as Markdown."""
    versions = dict.fromkeys(made[0].version for made in measured.results.values())
    lines = [f"{machine}. {'; '.join(versions)}."]
    if measured.results:
        n_rounds = max(map(len, measured.results.values()))
        read = [gbs for rounds in measured.bandwidth_gbs.values() for gbs in rounds]
        lines += [
            f"Interleaved rounds: {n_rounds}. Memory read meanwhile at {median(read):.1f} GB/s "
            f"({min(read):.1f} to {max(read):.1f}).",
            "",
            table(_rows(measured)),
        ]
    if measured.dropped:
        lines += ["", "Left out:", ""]
        lines += [f"- {', '.join(arm)}: {why}" for arm, why in measured.dropped.items()]
    return "\n".join(lines)


def _rows(measured: Measured) -> list[list[str]]:
    heads = [f"{test} tok/s" for test in TESTS] + [f"llmcli / it, {test}" for test in TESTS]
    rows = [["precision", "program", *heads, "peak MiB"]]
    for (precision, program), made in measured.results.items():
        ours = measured.results.get((precision, Llmcli.name))
        peak = median(result.peak_rss_bytes for result in made) / 2**20
        rows.append(
            [precision, program]
            + [_rate(made, test, measured.bandwidth_gbs[precision]) for test in TESTS]
            + ["" if ours is None or ours is made else _ratio(ours, made, test) for test in TESTS]
            + [f"{peak:,.0f}"]
        )
    return rows


def _rate(made: list[Result], test: str, bandwidth_gbs: list[float]) -> str:
    """The median, and the median share of what the bandwidth allows, round by round."""
    text = f"{median(result.rates[test] for result in made):,.1f}"
    shares = [
        result.rates[test] * n_bytes / (gbs * 1e9)
        for result, gbs in zip(made, bandwidth_gbs, strict=True)
        if (n_bytes := result.step_bytes(test)) is not None
    ]
    return f"{text} ({median(shares):.0%})" if shares else text


def _ratio(ours: list[Result], theirs: list[Result], test: str) -> str:
    """The median of the rounds' own ratios: within a round both met the same machine."""
    pairs = zip(ours, theirs, strict=True)
    return f"{median(one.rates[test] / other.rates[test] for one, other in pairs):.2f}"
