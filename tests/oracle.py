"""The reference implementation as an oracle: the same folder of random weights, loaded twice.

Logits are held against the reference run in fp64, whose own rounding is then out of the way.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tiny_models import random_weights, write_json
from transformers import AutoModelForCausalLM, PreTrainedModel

from llmcli.checkpoint.config_json import read_description
from llmcli.checkpoint.headers import read_folder
from llmcli.checkpoint.layout import check_tensors, rounded
from llmcli.checkpoint.quantization import OWN, Quant
from llmcli.checkpoint.weights import load_decoder
from llmcli.core.model import Decoder


def write_model(folder: Path, config: dict[str, Any], stored: torch.dtype = torch.float32) -> Path:
    """A folder of random weights; settings that are None are left out of config.json."""
    folder.mkdir(exist_ok=True)
    config = {key: value for key, value in config.items() if value is not None}
    write_json(folder / "config.json", config)
    weights = {name: value.to(stored) for name, value in random_weights(config, seed=1).items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def load_ours(folder: Path, dtype: torch.dtype = torch.float32, quant: Quant = "none") -> Decoder:
    description = read_description(folder)
    headers = read_folder(folder)
    expected, unclaimed = check_tensors(
        description.family, description.config, headers, scheme=description.scheme
    )
    assert unclaimed == []
    if quant != "none":
        tied = description.config.tied
        expected = [rounded(tensor, OWN[quant], tied=tied) for tensor in expected]
    return load_decoder(
        folder, headers, expected, description.config, dtype=dtype, device=torch.device("cpu")
    )


def load_reference(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="eager"
        )
    return model.eval()


def random_ids(ours: Decoder, rows: int, count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, ours.config.vocab_size, (rows, count), generator=generator)


def logit_errors(ours: Decoder, reference: PreTrainedModel) -> dict[str, float]:
    """Path through the forward pass -> max |ours - reference| / max |reference|.

    Dynamic scaling looks at the length of each pass, so pieces are held against pieces; and the
    reference remembers the longest pass until one within the original context resets it.
    """
    ids = random_ids(ours, 2, 40, seed=2)
    chunks, decoding = [13, 20, 7], [8] + [1] * 32
    whole = reference(ids, use_cache=False).logits
    return {
        "prefill": relative_error(ours(ids), whole),
        "chunked": relative_error(
            our_steps(ours, ids, chunks), reference_steps(reference, ids, chunks)
        ),
        "cached": relative_error(
            our_steps(ours, ids, decoding), reference_steps(reference, ids, decoding)
        ),
        "tapped": relative_error(ours(ids, tap=lambda _, value: value), whole),
    }


def relative_error(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return float((ours - reference).abs().max() / reference.abs().max())


def our_steps(decoder: Decoder, ids: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    """Logits of every position, computed over a cache in pieces of the given lengths."""
    cache = decoder.new_cache(batch=ids.shape[0])
    return torch.cat([decoder(part, cache) for part in ids.split(cuts, dim=1)], dim=1)


def reference_steps(model: PreTrainedModel, ids: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    past, logits = None, []
    for part in ids.split(cuts, dim=1):
        result = model(part, past_key_values=past, use_cache=True)
        past = result.past_key_values
        logits.append(result.logits)
    return torch.cat(logits, dim=1)


def greedy(step: Any, prompt: torch.Tensor, count: int) -> list[int]:
    """`count` tokens, each the best after what `step(ids)` has seen so far."""
    tokens, ids = [], prompt
    for _ in range(count):
        tokens.append(int(step(ids)[0, -1].argmax()))
        ids = torch.tensor([[tokens[-1]]])
    return tokens


class ReferenceSteps:
    """The reference over its own cache, called piece by piece."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.past = model, None

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        result = self.model(ids, past_key_values=self.past, use_cache=True)
        self.past = result.past_key_values
        return result.logits
