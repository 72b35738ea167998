"""What rounding costs: perplexity, and how far the next token's distribution moves from fp32's.

    python -m benchmarks.quantization_quality [--stories FOLDER]

Scores texts with every number format and prints one Markdown table:

- with the demo model, the right answers to prompts that its training never saw, made by
  `training.evaluate` (the prompts are read, and not scored), and this repository's README, which
  is nothing that it knows;
- with stories260K, where FOLDER has it (by default shared/data beside the repository), its
  published text and samples of its own, drawn in fp32 at temperature 1.

KL is that of the fp32 distribution to the other, in nats, averaged over the scored tokens.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.page import table
from llmcli.checkpoint.quantization import Quant
from llmcli.checkpoint.store import resolve
from llmcli.checkpoint.tokenizer import Tokenizer
from llmcli.core.model import Decoder
from llmcli.engine.folder import CheckedFolder, check_folder
from llmcli.engine.session import load
from training.evaluate import CATEGORIES, items_of

ROOT = Path(__file__).parents[1]
STORIES = ROOT.parent / "shared/data/stories260K"
FORMATS: tuple[tuple[str, Quant], ...] = (
    ("fp32", "none"),
    ("bf16", "none"),
    ("fp32", "int8"),
    ("bf16", "int8"),
    ("fp32", "int4"),
    ("bf16", "int4"),
)
PER_CATEGORY = 6
SAMPLES, SAMPLE_LENGTH, SEED = 16, 256, 0


@dataclass(frozen=True)
class Text:
    """Ids, of which those from `start` on are scored."""

    ids: list[int]
    start: int = 1


@torch.inference_mode()
def score(decoder: Decoder, texts: Sequence[Text]) -> Tensor:
    """Log-probabilities of every token at every scored place, (N, vocab_size)."""
    rows = []
    for text in texts:
        logits = decoder(torch.tensor([text.ids]))[0, text.start - 1 : -1]
        rows.append(logits.log_softmax(-1))
    return torch.cat(rows)


def compare(checked: CheckedFolder, name: str, texts: Sequence[Text]) -> list[list[str]]:
    """A row for each format; the first is what the others are held against."""
    truth, rows = None, []
    targets = torch.tensor([id for text in texts for id in text.ids[text.start :]])
    for dtype, quant in FORMATS:
        decoder = load(checked.rounded_to(quant), device="cpu", dtype=dtype).decoder
        logprobs = score(decoder, texts)
        perplexity = float((-logprobs.gather(1, targets[:, None]).double().mean()).exp())
        if truth is None:
            truth, base = logprobs, perplexity
        divergence = (truth.exp() * (truth - logprobs)).sum(-1).double().mean()
        same = (truth.argmax(-1) == logprobs.argmax(-1)).double().mean()
        label = dtype if quant == "none" else f"{quant}, activations in {dtype}"
        first = f"{name}, {len(targets):,} tokens" if logprobs is truth else ""
        figures = (f"{perplexity:.4f}", f"{perplexity / base - 1:+.2%}", f"{float(divergence):.1e}")
        rows.append([first, label, *figures, f"{float(same):.1%}"])
    return rows


def answers(words: Tokenizer) -> list[Text]:
    """Right answers to prompts that training never saw."""
    items = [
        item
        for make, pools in CATEGORIES.values()
        for pool in pools
        for item in items_of(make, pool, PER_CATEGORY)
    ]
    prompts = [words.encode_rendered(item.prompt) for item in items]
    return [
        Text(prompt + words.encode(item.answer), len(prompt))
        for prompt, item in zip(prompts, items, strict=True)
    ]


def parts_of(ids: list[int], length: int) -> list[Text]:
    """A long text in parts that fit into the context."""
    starts = range(0, len(ids) - 1, length)
    return [Text(ids[start : start + length]) for start in starts]


@torch.inference_mode()
def samples(decoder: Decoder, bos: int) -> list[Text]:
    generator = torch.Generator().manual_seed(SEED)
    ids, cache = torch.full((SAMPLES, 1), bos), decoder.new_cache(batch=SAMPLES)
    while ids.shape[1] < SAMPLE_LENGTH:
        logits = decoder(ids[:, cache.length :], cache)[:, -1]
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        ids = torch.cat([ids, drawn], dim=1)
    return [Text(row) for row in ids.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stories", type=Path, default=STORIES, metavar="FOLDER")
    options = parser.parse_args()
    rows = [["text", "weights", "perplexity", "against fp32", "mean KL", "same best token"]]
    demo = check_folder(resolve("demo"))
    rows += compare(demo, "demo: held-out answers", answers(demo.tokenizer))
    readme = demo.tokenizer.encode((ROOT / "README.md").read_text(encoding="utf-8"))
    rows += compare(demo, "demo: README.md", parts_of(readme, demo.description.config.context))
    if options.stories.is_dir():
        stories = check_folder(resolve(str(options.stories)))
        published = (options.stories / "greedy_256_tokens.txt").read_text(encoding="utf-8")
        rows += compare(
            stories,
            "stories260K: published text",
            [Text(stories.tokenizer.encode_prompt(published))],
        )
        decoder = load(stories, device="cpu", dtype="fp32").decoder
        drawn = samples(decoder, stories.tokenizer.bos_id or 0)
        rows += compare(stories, "stories260K: its own samples", drawn)
    print(table(rows))


if __name__ == "__main__":
    main()
