"""Knows how the stream of documents becomes padded batches of token ids.

It does not know the model. Documents are grouped by length, so that little is padded.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.corpus import Document, documents

BLOCK = 4096


@dataclass(frozen=True)
class Batch:
    ids: Tensor  # (B, T)
    weights: Tensor  # (B, T - 1): what the prediction of ids[:, 1:] counts


def encode(tokenizer: Tokenizer, doc: Document) -> tuple[list[int], list[float]]:
    ids: list[int] = []
    weights: list[float] = []
    for text, weight in doc.parts:
        piece = tokenizer.encode(text).ids
        ids += piece
        weights += [weight] * len(piece)
    return ids, weights


def block_batches(
    tokenizer: Tokenizer, seed: int, block: int, tokens: int, context: int
) -> list[Batch]:
    """One block of the stream as batches of at most `tokens` tokens, in a fixed random order."""
    rows = [encode(tokenizer, doc) for doc in documents(seed, block, BLOCK)]
    rows = [row for row in rows if len(row[0]) <= context]
    rows.sort(key=lambda row: len(row[0]))
    groups: list[list[tuple[list[int], list[float]]]] = [[]]
    for row in rows:
        if len(row[0]) * (len(groups[-1]) + 1) > tokens:
            groups.append([])
        groups[-1].append(row)
    random.Random(f"order {seed}/{block}").shuffle(groups)
    return [padded(group) for group in groups]


def padded(rows: list[tuple[list[int], list[float]]]) -> Batch:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    weights = torch.zeros(len(rows), width)
    for i, (row, weight) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        weights[i, : len(row)] = torch.tensor(weight)
    return Batch(ids, weights[:, 1:])


def stream(
    tokenizer: Tokenizer, seed: int, tokens: int, context: int, block: int = 0, index: int = 0
) -> Iterator[tuple[int, int, Batch]]:
    """Batches from a position on, each with the position that follows it."""
    while True:
        batches = block_batches(tokenizer, seed, block, tokens, context)
        for i in range(index, len(batches)):
            yield block, i + 1, batches[i]
        block, index = block + 1, 0
