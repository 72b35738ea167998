"""Knows how the demo model is trained: tokenizer, optimizer, schedule, checkpoints, export.

It does not know the corpus or the forward pass. `python -m training.train` goes on from the last
checkpoint if there is one.
"""

import argparse
import json
import math
import os
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from torch import Tensor

from llmcli.core.model import Decoder
from training import export, tokenizer
from training.batches import Batch, stream
from training.corpus import VARIED_BLOCK
from training.muon import Muon

SEED = 20
BATCH_TOKENS = 2048
BATCHES_PER_STEP = 2
MUON_RATE = 0.02
ADAM_RATE = 4e-3
CHECKPOINT_SECONDS = 180
RUN = Path(__file__).parent / "runs" / "demo"
OUT = Path(__file__).parent.parent / "llmcli" / "demo"


@dataclass(frozen=True)
class Stage:
    """A part of the training with its own part of the stream and its own learning rates."""

    tokens: int
    first_block: int
    peak: float
    warmup_steps: int
    # The share of the stage over which the learning rates fall linearly to zero.
    decay_share: float

    def rate(self, step: int, done: float) -> float:
        """The share of the full learning rate: a short rise, a plateau, a linear fall to zero."""
        shape = min(1.0, (step + 1) / self.warmup_steps, (1.0 - done) / self.decay_share)
        return self.peak * shape


STAGES = (
    Stage(tokens=12_000_000, first_block=0, peak=1.0, warmup_steps=60, decay_share=0.6),
    Stage(tokens=5_500_000, first_block=VARIED_BLOCK, peak=0.4, warmup_steps=30, decay_share=1.0),
)


@dataclass
class Position:
    """How far the training is: batches up to `index` of `block` are done.

    `begin_step` and `begin_tokens` are the values of `step` and `tokens` when the stage began.
    """

    block: int = 0
    index: int = 0
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stage: int = 0
    begin_step: int = 0
    begin_tokens: int = 0

    def done(self, stages: tuple[Stage, ...]) -> float:
        """The share of the stage that is done."""
        return (self.tokens - self.begin_tokens) / stages[self.stage].tokens

    def enter_next(self, stages: tuple[Stage, ...]) -> None:
        self.stage += 1
        self.block, self.index = stages[self.stage].first_block, 0
        self.begin_step, self.begin_tokens = self.step, self.tokens


def new_decoder(seed: int) -> Decoder:
    """Normal weights; those that write to the residual stream are smaller the more layers write."""
    decoder = Decoder(export.CONFIG)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if parameter.ndim == 2:
                writes = name.endswith(("attn.out.weight", "mlp.down.weight"))
                scale = 0.02 / math.sqrt(2 * export.N_LAYERS) if writes else 0.02
                parameter.normal_(0.0, scale, generator=generator)
    return decoder


def optimizers(decoder: Decoder) -> tuple[Muon, torch.optim.AdamW]:
    matrices = [p for p in decoder.blocks.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in decoder.parameters() if id(p) not in chosen]
    return (
        Muon(matrices, lr=MUON_RATE, weight_decay=0.05),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.01),
    )


def loss_of(decoder: Decoder, batch: Batch) -> tuple[Tensor, Tensor]:
    """The weighted sum of losses and the sum of weights; logits only where a weight is not 0."""
    states = decoder.hidden(batch.ids[:, :-1])
    learned = batch.weights > 0
    logits = decoder.unembed(states[learned])
    losses = F.cross_entropy(logits, batch.ids[:, 1:][learned], reduction="none")
    weights = batch.weights[learned]
    return (losses * weights).sum(), weights.sum()


def save(path: Path, decoder: Decoder, pair: tuple[Muon, torch.optim.AdamW], at: Position) -> None:
    state = {
        "decoder": decoder.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in pair],
        "position": asdict(at),
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def restore(path: Path, decoder: Decoder, pair: tuple[Muon, torch.optim.AdamW]) -> Position:
    state = torch.load(path, weights_only=True)
    decoder.load_state_dict(state["decoder"])
    for optimizer, saved in zip(pair, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return Position(**state["position"])


def train(stages: tuple[Stage, ...], run: Path, words: Tokenizer) -> tuple[Decoder, Position]:
    """Trains all the stages, from the run's checkpoint if it has one."""
    decoder = new_decoder(SEED)
    pair = optimizers(decoder)
    full = [[group["lr"] for group in optimizer.param_groups] for optimizer in pair]
    checkpoint = run / "checkpoint.pt"
    at = restore(checkpoint, decoder, pair) if checkpoint.exists() else Position()
    batches = stream(words, SEED, BATCH_TOKENS, export.CONTEXT, at.block, at.index)
    total_tokens = sum(stage.tokens for stage in stages)
    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn(
            "{task.percentage:>5.1f}%  loss {task.fields[loss]}  {task.fields[speed]} tok/s"
        ),
        TimeRemainingColumn(),
    )
    smooth, last_save = 0.0, time.monotonic()
    with Progress(*columns) as progress, (run / "log.jsonl").open("a") as log:
        bar = progress.add_task(
            "", total=total_tokens, completed=at.tokens, loss="...", speed="..."
        )
        while at.done(stages) < 1.0 or at.stage + 1 < len(stages):
            if at.done(stages) >= 1.0:
                at.enter_next(stages)
                batches = stream(words, SEED, BATCH_TOKENS, export.CONTEXT, at.block, at.index)
            share = stages[at.stage].rate(at.step - at.begin_step, at.done(stages))
            begin = time.monotonic()
            for optimizer, rates in zip(pair, full, strict=True):
                optimizer.zero_grad(set_to_none=True)
                for group, lr in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = lr * share
            chosen = [next(batches) for _ in range(BATCHES_PER_STEP)]
            weight = sum(float(batch.weights.sum()) for _, _, batch in chosen)
            total = 0.0
            for _, _, batch in chosen:
                losses, _ = loss_of(decoder, batch)
                (losses / weight).backward()
                total += losses.item() / weight
            for optimizer in pair:
                optimizer.step()
            at.block, at.index, _ = chosen[-1]
            at.step += 1
            at.tokens += sum(batch.ids.numel() for _, _, batch in chosen)
            at.seconds += time.monotonic() - begin
            smooth = total if not smooth else 0.97 * smooth + 0.03 * total
            speed = round(at.tokens / at.seconds)
            progress.update(bar, completed=at.tokens, loss=f"{smooth:.3f}", speed=speed)
            if at.step % 20 == 0:
                line = {"loss": round(smooth, 4), "tokens_per_second": speed, **asdict(at)}
                log.write(json.dumps(line) + "\n")
                log.flush()
            if time.monotonic() - last_save > CHECKPOINT_SECONDS:
                save(checkpoint, decoder, pair, at)
                last_save = time.monotonic()
    save(checkpoint, decoder, pair, at)
    return decoder, at


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the bundled demo model.")
    parser.add_argument(
        "--tokens",
        type=int,
        nargs=len(STAGES),
        default=[stage.tokens for stage in STAGES],
        help="how many tokens to train on in each stage",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where the model folder goes")
    parser.add_argument("--run", type=Path, default=RUN, help="where checkpoint and log go")
    parser.add_argument("--restart", action="store_true", help="forget the run's checkpoint")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument(
        "--export-only", action="store_true", help="write the folder from the last checkpoint"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.restart and options.run.exists():
        shutil.rmtree(options.run)
    options.run.mkdir(parents=True, exist_ok=True)
    vocabulary = options.run / "tokenizer.json"
    if not vocabulary.exists():
        tokenizer.learn(SEED).save(str(vocabulary))
    words = Tokenizer.from_file(str(vocabulary))
    if options.export_only:
        decoder = new_decoder(SEED)
        at = restore(options.run / "checkpoint.pt", decoder, optimizers(decoder))
    else:
        stages = tuple(
            replace(stage, tokens=tokens)
            for stage, tokens in zip(STAGES, options.tokens, strict=True)
        )
        decoder, at = train(stages, options.run, words)
    export.write(decoder, words, options.out)
    (options.run / "summary.json").write_text(json.dumps(asdict(at), indent=2) + "\n")
    print(f"{at.tokens:,} tokens in {at.seconds / 60:.1f} minutes; written to {options.out}")


if __name__ == "__main__":
    main()
