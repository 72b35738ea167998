"""Where each millisecond of a decode step goes, by kind of operation.

As a program, `python -m benchmarks.decode_step FOLDER PRECISION THREADS` measures in its own
process and prints one JSON object of medians in ms.
"""

import json
import sys
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from benchmarks.page import table
from benchmarks.place import PYTHON, Place, run, tell
from benchmarks.tools import PRECISIONS

DEPTH, STEPS, WARM_UPS = 512, 64, 4
DTYPE_AND_QUANT = {
    "fp32": ("fp32", "none"),
    "16 bit": ("bf16", "none"),
    "int8": ("bf16", "int8"),
    "int4": ("bf16", "int4"),
}


def measure(folder: Path, place: Place) -> dict[str, dict[str, float]]:
    steps = {}
    for precision in PRECISIONS:
        tell(f"decode step: {precision}")
        program = [PYTHON, "-m", "benchmarks.decode_step", folder, precision, str(place.threads)]
        steps[precision] = json.loads(run(program).output)
    return steps


def block(steps: dict[str, dict[str, float]], machine: str) -> str:
    parts = [part for part in next(iter(steps.values())) if any(s[part] for s in steps.values())]
    rows = [["ms", *steps]]
    rows += [[part, *(f"{step[part]:.2f}" for step in steps.values())] for part in parts]
    return f"{machine}. Medians of {STEPS} steps at depth {DEPTH}.\n\n{table(rows)}"


def main(folder: Path, precision: str, threads: int) -> None:
    from llmcli.checkpoint.store import resolve
    from llmcli.core.sampling import Sampler
    from llmcli.core.sampling_spec import SamplingSpec
    from llmcli.engine import session
    from llmcli.engine.folder import check_folder
    from llmcli.engine.generate import decode, prefill

    dtype, quant = DTYPE_AND_QUANT[precision]
    checked = check_folder(resolve(str(folder))).rounded_to(quant)
    model = session.load(checked, threads=threads, dtype=dtype)
    cache, sampler = model.new_cache(), Sampler(SamplingSpec(temperature=0))
    size = model.decoder.config.vocab_size
    logits = prefill(model.decoder, [place * 7919 % size for place in range(DEPTH)], cache)
    spans: dict[str, list[float]] = {}
    for step in range(WARM_UPS + STEPS):
        started = perf_counter_ns()
        token = sampler.draw(logits, (), ()).token
        drawn = perf_counter_ns()
        logits = decode(model.decoder, token, cache)
        ended = perf_counter_ns()
        if step < WARM_UPS:
            continue
        recorded = model.decoder.recorded
        kinds = recorded.spent_ns if recorded is not None else {}
        parts = {**kinds, "between the kernels, in Python": ended - drawn - sum(kinds.values())}
        parts |= {"sampling": drawn - started, "the whole step": ended - started}
        for part, spent in parts.items():
            spans.setdefault(part, []).append(spent / 1e6)
    print(json.dumps({part: median(times) for part, times in spans.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
