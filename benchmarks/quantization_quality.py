"""What rounding costs: perplexity, and how far the next token's distribution moves from fp32's.

    python -m benchmarks.quantization_quality [--stories FOLDER]

Scores two kinds of text with every number format, and prints one Markdown table:

- the demo model on the right answers to prompts that its training never saw (`training.evaluate`
  makes both; the prompts are read, and not scored);
- stories260K, where FOLDER has it (by default shared/data beside the repository), on its published
  text and on samples of its own, drawn in fp32 at temperature 1.

KL is that of the fp32 distribution to the other, in nats, averaged over the scored tokens.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from llmcli.checkpoint.quantization import Quant
from llmcli.checkpoint.store import Source, resolve
from llmcli.core.sampling import Sampler
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.folder import check_folder
from llmcli.engine.generate import Generation
from llmcli.engine.session import Model, load
from training.evaluate import CATEGORIES, items_of

STORIES = Path(__file__).parents[2] / "shared/data/stories260K"
FORMATS: tuple[tuple[str, Quant], ...] = (
    ("fp32", "none"),
    ("bf16", "none"),
    ("fp32", "int8"),
    ("bf16", "int8"),
    ("fp32", "int4"),
    ("bf16", "int4"),
)
