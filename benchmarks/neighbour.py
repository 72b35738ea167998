"""What is left of the speed while another process spins on one of the cores, in turn without."""

from contextlib import nullcontext
from pathlib import Path
from statistics import median

from benchmarks.page import table
from benchmarks.place import Place, Unavailable, busy_neighbour, tell
from benchmarks.tools import TOOLS
from benchmarks.workload import TESTS

Pair = tuple[dict[str, float], dict[str, float]]  # rates alone, and beside the other process


def measure(
    folder: Path, precisions: list[str], programs: list[str], place: Place, rounds: int
) -> dict[tuple[str, str], list[Pair]]:
    pairs: dict[tuple[str, str], list[Pair]] = {}
    for precision in precisions:
        for program in programs:
            try:
                TOOLS[program].prepare(folder, precision, place)
                pairs[precision, program] = []
            except Unavailable as reason:
                tell(f"left out: {precision}, {program}: {reason}")
    for number in range(rounds):
        for precision, program in pairs:
            tell(f"neighbour, round {number + 1}/{rounds}: {precision}, {program}")
            rates = []
            for condition in (nullcontext, busy_neighbour):
                with condition():
                    rates.append(TOOLS[program].run(folder, precision, place).rates)
            pairs[precision, program].append((rates[0], rates[1]))
    return pairs


def block(pairs: dict[tuple[str, str], list[Pair]], machine: str) -> str:
    rows = [["precision", "program", *(f"{test}, kept" for test in TESTS)]]
    for (precision, program), made in pairs.items():
        kept = [median(busy[test] / alone[test] for alone, busy in made) for test in TESTS]
        rows.append([precision, program, *(f"{share:.0%}" for share in kept)])
    rounds = max(map(len, pairs.values()), default=0)
    return f"{machine}. Interleaved rounds: {rounds}.\n\n{table(rows)}"
