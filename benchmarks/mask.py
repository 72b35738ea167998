"""What an answer under a JSON schema costs beside a free one, token by token.

As a program, `python -m benchmarks.mask FOLDER PRECISION THREADS` measures in its own process and
prints one JSON object of figures in ms.
"""

import json
import sys
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from benchmarks.decode_step import DTYPE_AND_QUANT
from benchmarks.page import table
from benchmarks.place import PYTHON, Place, run, tell
from benchmarks.tools import PRECISIONS

DEPTH, STEPS, WARM_UPS = 512, 128, 4
RECORD = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "kind": {"enum": ["small", "medium", "large"]},
        "count": {"type": "integer", "maximum": 9999},
        "price": {"type": ["number", "null"], "maximum": 9999},
        "sold": {"type": "boolean"},
    },
    "required": ["name", "kind", "count", "price", "sold"],
    "additionalProperties": False,
}
SCHEMA = {"type": "array", "items": RECORD, "minItems": 100}
FORWARD, FREE, UNDER = "forward pass", "draw, free", "draw, under the schema"
SLOWEST, ONCE = "the slowest draw under it", "vocabulary and schema, once"


def measure(folder: Path, place: Place) -> dict[str, dict[str, float]]:
    figures = {}
    for precision in PRECISIONS:
        tell(f"mask: {precision}")
        program = [PYTHON, "-m", "benchmarks.mask", folder, precision, str(place.threads)]
        figures[precision] = json.loads(run(program).output)
    return figures


def block(figures: dict[str, dict[str, float]], machine: str) -> str:
    rows = [["ms", *figures]]
    for part in (FORWARD, FREE, UNDER, SLOWEST, ONCE):
        rows.append([part, *(f"{figure[part]:.2f}" for figure in figures.values())])
    rows.append(["added to the step", *(f"{added(figure):.1%}" for figure in figures.values())])
    return f"{machine}. Medians of {STEPS} tokens.\n\n{table(rows)}"


def added(figure: dict[str, float]) -> float:
    """The share of a free step by which one under the schema is longer."""
    return (figure[UNDER] - figure[FREE]) / (figure[FORWARD] + figure[FREE])


def main(folder: Path, precision: str, threads: int) -> None:
    import torch

    from llmcli.checkpoint.store import resolve
    from llmcli.core.kernels import one_thread
    from llmcli.core.sampling import Sampler
    from llmcli.core.sampling_spec import SamplingSpec
    from llmcli.engine import session
    from llmcli.engine.constrain import ConstrainedAnswer
    from llmcli.engine.folder import check_folder
    from llmcli.engine.generate import decode, prefill
    from llmcli.engine.grammar import Grammar, Vocabulary

    dtype, quant = DTYPE_AND_QUANT[precision]
    checked = check_folder(resolve(str(folder))).rounded_to(quant)
    model = session.load(checked, threads=threads, dtype=dtype)
    size = model.decoder.config.vocab_size
    # The made tokenizer has no end of text. Random weights would wish for one at every token, which
    # no trained model does: it is there, and out of reach.
    end = size - 1
    started = perf_counter_ns()
    vocabulary = Vocabulary(model.tokenizer, size, frozenset({end}))
    answer = ConstrainedAnswer(Grammar.read("json_schema", json.dumps(SCHEMA)), vocabulary)
    once = perf_counter_ns() - started
    free, under = (Sampler(SamplingSpec(seed=0)) for _ in range(2))
    cache = model.new_cache()
    logits = prefill(model.decoder, [place * 7919 % size for place in range(DEPTH)], cache)
    spans: dict[str, list[float]] = {FORWARD: [], FREE: [], UNDER: []}
    for step in range(WARM_UPS + STEPS):
        with torch.inference_mode(), one_thread():
            logits = logits.index_fill(0, torch.tensor([end]), -100.0)
        started = perf_counter_ns()
        free.draw(logits, (), ())
        drawn = perf_counter_ns()
        draw = answer.choose(
            lambda mask, now=logits: under.draw(now, (), (), mask), logits, 10**6, inside=False
        )
        chosen = perf_counter_ns()
        logits = decode(model.decoder, draw.token, cache)
        ended = perf_counter_ns()
        if step >= WARM_UPS:
            spans[FREE].append((drawn - started) / 1e6)
            spans[UNDER].append((chosen - drawn) / 1e6)
            spans[FORWARD].append((ended - chosen) / 1e6)
    figures = {part: median(times) for part, times in spans.items()}
    print(json.dumps(figures | {SLOWEST: max(spans[UNDER]), ONCE: once / 1e6}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
