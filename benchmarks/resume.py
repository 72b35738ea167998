"""How long a kept conversation of 2,000 tokens takes until it goes on, with its KV cache kept and
without.

As a program, `python -m benchmarks.resume FOLDER THREADS ROUNDS` measures in its own process and
prints one JSON object of medians.
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.page import table
from benchmarks.place import PYTHON, Place, run

N_TOKENS, N_QUESTION = 2000, 20


def measure(folder: Path, place: Place, rounds: int) -> dict[str, float]:
    program = [PYTHON, "-m", "benchmarks.resume", folder, str(place.threads), str(rounds)]
    return json.loads(run(program).output)


def block(figures: dict[str, float], machine: str) -> str:
    anew, kept = figures["anew_s"], figures["read_s"] + figures["question_s"]
    rows = [
        ["kept", "KV cache read, s", "tokens computed", "in s", "together, s"],
        ["messages", "", f"{N_TOKENS + N_QUESTION:,}", f"{anew:.2f}", f"{anew:.2f}"],
        [
            "and the KV cache",
            f"{figures['read_s']:.3f}",
            f"{N_QUESTION}",
            f"{figures['question_s']:.3f}",
            f"{kept:.2f}",
        ],
    ]
    return (
        f"{machine}. Medians; from the file to the first token's logits, the model being loaded. "
        f"Writing the cache took {figures['write_s']:.2f} s, {figures['mib']:.1f} MiB in "
        f"{figures['dtype']}.\n\n{table(rows)}"
    )


def main(folder: Path, threads: int, rounds: int) -> None:
    from llmcli.checkpoint.store import resolve
    from llmcli.engine import session
    from llmcli.engine.folder import check_folder
    from llmcli.engine.generate import prefill
    from llmcli.engine.prefix import HeldPrefix
    from llmcli.engine.saved_cache import read_cache, write_cache

    model = session.load(check_folder(resolve(str(folder))), threads=threads)
    size = model.decoder.config.vocab_size
    ids = [place * 7919 % size for place in range(N_TOKENS + N_QUESTION)]
    spans: dict[str, list[float]] = {}

    def clock(name: str, start: float) -> None:
        spans.setdefault(name, []).append(perf_counter() - start)

    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "kept.safetensors"
        for _ in range(rounds + 1):
            held = HeldPrefix(model.new_cache())
            start = perf_counter()
            prefill(model.decoder, ids, held.cache)
            clock("anew_s", start)
            held.extend(ids)
            held.reuse([*ids[:N_TOKENS], 0])
            start = perf_counter()
            write_cache(file, model, held)
            clock("write_s", start)
            held = HeldPrefix(model.new_cache())
            start = perf_counter()
            read_cache(file, model, held)
            clock("read_s", start)
            start = perf_counter()
            prefill(model.decoder, ids[held.cache.length :], held.cache)
            clock("question_s", start)
        figures: dict[str, float | str] = {name: median(s[1:]) for name, s in spans.items()}
        figures["mib"] = file.stat().st_size / 2**20
    figures["dtype"] = str(model.decoder.dtype).removeprefix("torch.")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
