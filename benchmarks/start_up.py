"""From the command to the first token, beside `import torch` alone, in turn."""

from pathlib import Path
from statistics import median

from benchmarks.models import SEVEN_TOKENS
from benchmarks.page import table
from benchmarks.place import PYTHON, Place, run, tell

IMPORT = "`python -c 'import torch'`"


def measure(folder: Path, place: Place, rounds: int) -> dict[str, list[float]]:
    """Seconds to the first byte of output. One round before them warms the page cache."""
    generate = [PYTHON, "-m", "llmcli", "generate", folder, "-p", SEVEN_TOKENS, "-n", "1"]
    options = ["--temperature", "0", "--device", place.device, "--threads", str(place.threads)]
    commands = {
        "`llmcli generate -n 1`": [*generate, *options],
        IMPORT: [PYTHON, "-c", "import torch; print('ready', flush=True)"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            took = run(command).first_output_s
            tell(f"start, round {number}/{rounds}: {name} {took:.2f} s")
            if number:
                seconds[name].append(took)
    return seconds


def block(seconds: dict[str, list[float]], machine: str) -> str:
    rows = [["command", "median s", "fastest s", "to `import torch`"]]
    for name, took in seconds.items():
        pairs = zip(took, seconds[IMPORT], strict=True)
        ratio = median(one / base for one, base in pairs)
        rows.append([name, f"{median(took):.2f}", f"{min(took):.2f}", f"{ratio:.2f}"])
    rounds = len(seconds[IMPORT])
    return f"{machine}. Interleaved rounds: {rounds}.\n\n{table(rows)}"
