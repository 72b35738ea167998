"""The second turn of a conversation of 2,000 tokens: what the KV cache's prefix spares it.

As a program, `python -m benchmarks.prefix_reuse FOLDER THREADS ROUNDS` measures in its own process
and prints one JSON object.
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.page import table
from benchmarks.place import PYTHON, Place, run

QUESTION, ANSWER, SECOND = 1920, 48, 24  # tokens: digits, of which each is one
TEMPLATE = (
    "{% for message in messages %}{{ message.role + ':\\n' + message.content + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"
)
WITH, WITHOUT = "prefix reused", "prefilled anew"

Second = dict[str, float]  # prompt, cached, ttft_ms, logprob of the first token


def measure(folder: Path, place: Place, rounds: int) -> dict[str, list[Second]]:
    program = [PYTHON, "-m", "benchmarks.prefix_reuse", folder, str(place.threads), str(rounds)]
    return json.loads(run(program).output)


def block(arms: dict[str, list[Second]], machine: str) -> str:
    rows = [["second turn", "prompt tokens", "reused", "computed", "TTFT ms, median", "fastest"]]
    for name, turns in arms.items():
        prompt, cached = int(turns[0]["prompt"]), int(turns[0]["cached"])
        times = [turn["ttft_ms"] for turn in turns]
        counts = [f"{prompt:,}", f"{cached:,}", f"{prompt - cached:,}"]
        rows.append([name, *counts, f"{median(times):,.0f}", f"{min(times):,.0f}"])
    pairs = list(zip(arms[WITHOUT], arms[WITH], strict=True))
    ratio = median(anew["ttft_ms"] / reused["ttft_ms"] for anew, reused in pairs)
    apart = max(abs(anew["logprob"] - reused["logprob"]) for anew, reused in pairs)
    return (
        f"{machine}. Interleaved rounds: {len(pairs)}.\n\n{table(rows)}\n\n"
        f"With the prefix reused the first token comes {ratio:.0f} times as fast; its log "
        f"probabilities in the two arms differ by {apart:.1e} at most."
    )


def main(folder: Path, threads: int, rounds: int) -> None:
    from llmcli.checkpoint.store import resolve
    from llmcli.core.sampling_spec import SamplingSpec
    from llmcli.engine import session
    from llmcli.engine.conversation import Conversation
    from llmcli.engine.folder import check_folder

    with tempfile.TemporaryDirectory() as made:
        template = Path(made) / "template.jinja"
        template.write_text(TEMPLATE)
        model = session.load(check_folder(resolve(str(folder)), template), threads=threads)
        (digit,) = model.tokenizer.encode("7")  # random weights' own words would not read back
        sampling = SamplingSpec(temperature=0, logit_bias={digit: 100})

        def say(conversation: Conversation, text: str, tokens: int) -> Second:
            generation = conversation.ask(text, sampling, max_tokens=tokens)
            list(generation)
            conversation.keep(generation)
            took = generation.timings()
            return {
                "prompt": took.prompt_tokens,
                "cached": took.cached_tokens,
                "ttft_ms": took.ttft_ms,
                "logprob": generation.draws[0].logprob,
            }

        arms: dict[str, list[Second]] = {WITH: [], WITHOUT: []}
        for number in range(rounds):
            going_on, fresh = Conversation(model), Conversation(model)
            say(going_on, "1" * QUESTION, ANSWER)
            fresh.messages = [*going_on.messages]
            order = [(WITH, going_on), (WITHOUT, fresh)]
            for name, conversation in order if number % 2 == 0 else reversed(order):
                arms[name].append(say(conversation, "2" * SECOND, 1))
        print(json.dumps(arms))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
