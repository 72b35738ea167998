"""Folders of published shapes with random weights, in the format of Hugging Face.

    python -m benchmarks.models SHAPE FOLDER

Speed depends on shapes and not on values; weights are small, so that activations stay finite.
"""

import json
import random
import string
import sys
from pathlib import Path

LLAMA = {"model_type": "llama", "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16"}
SMOLLM2_135M = {
    **LLAMA,
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
}
SHAPES = {
    "SmolLM2-135M": SMOLLM2_135M,
    "SmolLM2-135M-fp32": {**SMOLLM2_135M, "torch_dtype": "float32"},
    "Llama-3.2-1B": {
        **LLAMA,
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
    },
    "GPT-2": {"model_type": "gpt2", "torch_dtype": "bfloat16"},
    "Gemma-3-270m": {
        "model_type": "gemma3_text",
        "vocab_size": 262144,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "num_hidden_layers": 18,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "max_position_embeddings": 32768,
        "sliding_window": 512,
        "torch_dtype": "bfloat16",
    },
}
SEVEN_TOKENS = "1234567"  # no digit is part of a merge: as many tokens as characters


def write(folder: Path, config: dict, n_shards: int = 1) -> int:
    """Random weights in `folder`, in the config's dtype; returns the bytes of its weight files."""
    import torch
    from safetensors.torch import save_file

    from llmcli.checkpoint.config_json import describe
    from llmcli.checkpoint.layout import expected_tensors

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    description = describe(config, folder / "config.json")
    tensors = expected_tensors(description.family, description.config)
    torch.manual_seed(0)

    def values(shape: tuple[int, ...]) -> torch.Tensor:
        weights = torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.02
        return weights.to(getattr(torch, config["torch_dtype"]))

    weight_map = {}
    for shard in range(n_shards):
        name = f"model-{shard + 1:05}-of-{n_shards:05}.safetensors"
        if n_shards == 1:
            name = "model.safetensors"
        part = tensors[shard::n_shards]
        save_file({t.name: values(t.shape) for t in part}, folder / name, {"format": "pt"})
        weight_map.update({t.name: name for t in part})
    if n_shards > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def write_tokenizer(folder: Path, vocab_size: int) -> None:
    """A byte-level BPE with random merges of letters: as large, and as slow to read, as real ones,
    which reading a mere list of words would not be."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {piece: id for id, piece in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    parts, merges = ["Ġ", *string.ascii_lowercase], []
    draw = random.Random(0)
    while len(vocabulary) < vocab_size:
        left, right = draw.choice(parts), draw.choice(parts)
        piece = left + right
        if piece not in vocabulary and len(piece) <= 12:
            vocabulary[piece] = len(vocabulary)
            parts.append(piece)
            merges.append((left, right))
    backend = Tokenizer(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.save(str(folder / "tokenizer.json"))


def main(shape: str, folder: Path) -> None:
    write(folder, SHAPES[shape])
    write_tokenizer(folder, SHAPES[shape]["vocab_size"])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
