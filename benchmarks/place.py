"""Where a benchmark keeps and runs things: its cache folder, its child processes.

The process that measures stays small, because Linux counts a parent's memory into the peak of a
child it starts: whatever needs torch runs in a child.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".benchmarks"  # outside this folder: tests look at every file in it
PYTHON = sys.executable


class Unavailable(Exception):
    """Something cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Place:
    """What all programs are told alike."""

    device: str
    threads: int


@dataclass(frozen=True)
class Finished:
    """A child that succeeded. `first_output_s` is the time from its start to its first byte."""

    output: str
    first_output_s: float
    peak_rss_bytes: int


def run(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> Finished:
    """Run to the end. Raises Unavailable, with the end of what it said, if that is a failure."""
    with tempfile.TemporaryFile() as errors:
        start = perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            # Python's bytecode is kept, as in an installed package, whatever is set here.
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""} | (environment or {}),
            cwd=ROOT,
        )
        with process.stdout as stdout:
            first = stdout.read(1)
            first_output_s = perf_counter() - start
            output = first + stdout.read()
        # wait4 and not wait: it alone tells this child's peak.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise Unavailable(
                f"{' '.join(map(str, command[:4]))} ... ended with {process.returncode}: "
                + " | ".join(said[-3:])
            )
    unit = 1 if sys.platform == "darwin" else 1024
    return Finished(output.decode(errors="replace"), first_output_s, usage.ru_maxrss * unit)


@contextlib.contextmanager
def busy_neighbour() -> Iterator[None]:
    """A process that spins on one of the cores meanwhile."""
    core = max(os.sched_getaffinity(0))
    spin = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    process = subprocess.Popen([PYTHON, "-c", spin])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
