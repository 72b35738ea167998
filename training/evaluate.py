"""Knows how the exported demo model is examined on held-out prompts, by greedy decoding.

It does not know how the model was trained. `--write` puts the figures into the model's README.
"""

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from llmcli.core.model import Decoder
from training import export
from training import tasks_raw as raw
from training.corpus import ENDOFTEXT, IM_END, as_document, draw, draw_raw
from training.handwritten import CONVERSATIONS
from training.holdout import Pool, belongs
from training.tasks_facts import Turn, capital, concept, difference, small_fact, unknown_thing
from training.tasks_reading import who_is_it
from training.tasks_talk import ask_name, echo, small_talk, tell_name
from training.tasks_writing import email, story
from training.train import OUT, RUN

SEED = 7
PER_CATEGORY = 200
MOST_TOKENS = 120
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"


@dataclass(frozen=True)
class Item:
    """A prompt with all its marks, and what the continuation must be."""

    prompt: str
    answer: str
    must: tuple[str, ...] = ()
    whole: bool = True

    def right(self, text: str) -> bool:
        if self.must:
            lower = text.lower()
            ends = lower.endswith((".", "!", "?", "kind regards"))
            return ends and all(part.lower() in lower for part in self.must)
        return text == self.answer if self.whole else text.startswith(self.answer)


Maker = Callable[[random.Random, Pool], Item]


def asked(turns: list[Turn]) -> Item:
    """The last turn of a conversation as an item."""
    *before, _, _ = as_document(turns).parts
    last = turns[-1]
    return Item("".join(text for text, _ in before), last.answer, last.must)


def chat(task: Callable[[random.Random, Pool], Turn]) -> Maker:
    return lambda rng, pool: asked([draw(task, rng, pool)])


def plain(task: raw.RawMaker) -> Maker:
    def make(rng: random.Random, pool: Pool) -> Item:
        drawn = draw_raw(task, rng, pool)
        return Item(drawn.prompt, drawn.completion.rstrip(".!"), whole=False)

    return make


def remembered(rng: random.Random, pool: Pool) -> Item:
    """A name, a turn or two on other things, and the question for the name."""
    while True:
        told, name = tell_name(rng, pool)
        if belongs(told.user, pool):
            break
    tasks = (concept, capital, small_fact, who_is_it, unknown_thing)
    between = [draw(rng.choice(tasks), rng, Pool.TRAIN) for _ in range(rng.randint(1, 2))]
    return asked([told, *between, ask_name(rng, pool, name)])


CATEGORIES: dict[str, tuple[Maker, tuple[Pool, ...]]] = {
    "concepts: what it is, why it helps": (chat(concept), (Pool.PAIRS, Pool.NEW)),
    "differences between two concepts": (chat(difference), (Pool.PAIRS, Pool.NEW)),
    "capitals, asked in a chat": (chat(capital), (Pool.PAIRS, Pool.NEW)),
    "capitals, plain completion": (plain(raw.raw_capital), (Pool.PAIRS, Pool.NEW)),
    "titles, plain completion": (plain(raw.raw_title), (Pool.PAIRS, Pool.NEW)),
    "who `it` is, asked in a chat": (chat(who_is_it), (Pool.PAIRS, Pool.NEW)),
    "who `it` is, plain completion": (plain(raw.raw_refers), (Pool.PAIRS, Pool.NEW)),
    "a name told two or three turns ago": (remembered, (Pool.PAIRS, Pool.NEW)),
    "apology e-mail, every word right": (chat(email), (Pool.PAIRS, Pool.NEW)),
    "short story about the given hero": (chat(story), (Pool.PAIRS, Pool.NEW)),
    "small talk and questions about itself": (chat(small_talk), (Pool.PAIRS,)),
    "sums, opposites, days, colours, sounds": (chat(small_fact), (Pool.PAIRS, Pool.NEW)),
    "repeating words": (chat(echo), (Pool.PAIRS, Pool.NEW)),
    "saying that it does not know": (chat(unknown_thing), (Pool.PAIRS, Pool.NEW)),
}

SHOWN: tuple[tuple[str, ...], ...] = (
    ("Hello!",),
    ("Who are you?",),
    ("What can you do?",),
    ("What is a KV cache?",),
    ("could you explain to me what RoPE is",),
    ("Why do models use GQA?",),
    ("What is the difference between prefill and decode?",),
    ("What is the capital of Japan?",),
    ("Which country has the capital Lima?",),
    ("The dog chased the squirrel because it was hungry. Who was hungry?",),
    ("The dog chased the squirrel because it was scared. Who is it?",),
    ("My name is Priya.", "What is a token?", "What is my name?"),
    ("What is my name?",),
    ("Write an email apologizing to Sarah for the tragic gardening mishap.",),
    ("Tell me a short story about a fox.",),
    ("Who won the world cup in 1998?",),
    ("What is a carburetor?",),
    ("What is the capital of Atlantis?",),
    ("Write a Python function that reverses a string.",),
)
SHOWN_PLAIN = (
    "The capital of France is",
    "Paris is the capital of",
    "The Shawshank",
    "The Lord of the",
    "The opposite of hot is",
    "Monday, Tuesday,",
    "2 + 2 =",
    "The dog chased the squirrel because it was hungry. Here, it refers to the",
    "Once upon a time,",
)


@torch.inference_mode()
def continue_all(decoder: Decoder, words: Tokenizer, prompts: list[str]) -> list[str]:
    """The greedy continuation of every prompt; prompts of the same length run together."""
    stops = {words.token_to_id(IM_END), words.token_to_id(ENDOFTEXT)}
    encoded = [words.encode(prompt).ids for prompt in prompts]
    by_length: dict[int, list[int]] = defaultdict(list)
    for i, ids in enumerate(encoded):
        by_length[len(ids)].append(i)
    results = [""] * len(prompts)
    for rows in by_length.values():
        ids = torch.tensor([encoded[i] for i in rows])
        cache = decoder.new_cache(batch=len(rows), limit=export.CONTEXT)
        written: list[list[int]] = [[] for _ in rows]
        open_rows = set(range(len(rows)))
        for _ in range(min(MOST_TOKENS, export.CONTEXT - ids.shape[1])):
            chosen = decoder.unembed(decoder.hidden(ids, cache)[:, -1]).argmax(dim=-1)
            for row in list(open_rows):
                token = int(chosen[row])
                if token in stops:
                    open_rows.discard(row)
                else:
                    written[row].append(token)
            if not open_rows:
                break
            ids = chosen.unsqueeze(1)
        for row, i in enumerate(rows):
            results[i] = words.decode(written[row], skip_special_tokens=False)
    return results


def items_of(make: Maker, pool: Pool, count: int) -> list[Item]:
    """Up to `count` items with different prompts, the same at every call."""
    rng = random.Random(f"{SEED}/{pool.value}")
    found: dict[str, Item] = {}
    for _ in range(count * 20):
        item = make(rng, pool)
        found.setdefault(item.prompt, item)
        if len(found) == count:
            break
    return list(found.values())


def examine_handwritten(decoder: Decoder, words: Tokenizer, *, show: int) -> str:
    """The row for the conversations of handwritten.py, in which the model's own answers stand."""
    good = 0
    for questions, must in CONVERSATIONS:
        turns = answered(decoder, words, questions)
        if Item("", "", must).right(turns[-1].answer):
            good += 1
        elif show:
            print(f"- hand-written: {questions[-1]!r}\n    {turns[-1].answer!r}\n    {must!r}")
    share = 100 * good / len(CONVERSATIONS)
    return f"| hand-written, no template | | {good} / {len(CONVERSATIONS)} ({share:.1f} %) |"


def answered(decoder: Decoder, words: Tokenizer, questions: Sequence[str]) -> list[Turn]:
    """A conversation with the model."""
    turns: list[Turn] = []
    for question in questions:
        prompt = asked([*turns, Turn(question, "")]).prompt
        turns.append(Turn(question, continue_all(decoder, words, [prompt])[0]))
    return turns


def examine(decoder: Decoder, words: Tokenizer, count: int, *, show: int) -> list[str]:
    """The rows of the table; up to `show` wrong answers of each cell are printed."""
    rows = []
    for name, (make, pools) in CATEGORIES.items():
        cells = {Pool.PAIRS: "", Pool.NEW: ""}
        for pool in pools:
            items = items_of(make, pool, count)
            texts = continue_all(decoder, words, [item.prompt for item in items])
            wrong = [pair for pair in zip(items, texts, strict=True) if not pair[0].right(pair[1])]
            good = len(items) - len(wrong)
            cells[pool] = f"{good} / {len(items)} ({100 * good / len(items):.1f} %)"
            for item, text in wrong[:show]:
                print(f"- {name}, {pool.value}: {item.prompt!r}\n    {text!r}\n    {item.answer!r}")
        rows.append(f"| {name} | {cells[Pool.PAIRS]} | {cells[Pool.NEW]} |")
        print(rows[-1], flush=True)
    return [*rows, examine_handwritten(decoder, words, show=show)]


def show_samples(decoder: Decoder, words: Tokenizer) -> None:
    for questions in SHOWN:
        for turn in answered(decoder, words, questions):
            print(f"> {turn.user}\n{turn.answer}")
        print()
    for start, text in zip(
        SHOWN_PLAIN, continue_all(decoder, words, list(SHOWN_PLAIN)), strict=True
    ):
        print(f"{start}[{text}]")


def report(rows: list[str], summary: Path) -> str:
    """The Markdown that goes into the README."""
    lines = [
        "| | seen words, unseen combination | unseen wording, name or subject |",
        "| --- | --- | --- |",
        *rows,
    ]
    if summary.exists():
        at = json.loads(summary.read_text())
        lines += [
            "",
            f"Training: {at['tokens']:,} tokens in {at['step']:,} steps, "
            f"{at['seconds'] / 60:.1f} minutes of wall time "
            f"({at['tokens'] / at['seconds']:,.0f} tokens/s).",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Examine the demo model on held-out prompts.")
    parser.add_argument("--folder", type=Path, default=OUT)
    parser.add_argument("--run", type=Path, default=RUN, help="the run whose wall time is told")
    parser.add_argument("--count", type=int, default=PER_CATEGORY, help="items per cell")
    parser.add_argument("--show", type=int, default=0, help="how many wrong answers to print")
    parser.add_argument("--write", action="store_true", help="put the figures into the README")
    options = parser.parse_args()
    decoder, words = export.read(options.folder)
    begin = time.monotonic()
    show_samples(decoder, words)
    table = report(
        examine(decoder, words, options.count, show=options.show), options.run / "summary.json"
    )
    print(f"\n{table}\n\nexamined in {time.monotonic() - begin:.0f} s")
    if options.write:
        readme = options.folder / "README.md"
        before, _, rest = readme.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        readme.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
