"""Small random models in Hugging Face format, written to a folder by the project's own means.

They speak nonsense; every path through the program can be walked on them within milliseconds.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from llmcli.checkpoint.config_json import describe
from llmcli.checkpoint.layout import by_target, expected_tensors
from llmcli.core.model import Decoder

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "bos_token_id": 0,
    "eos_token_id": 2,
}


def write_tiny_llama(
    folder: Path, *, seed: int = 0, chat: bool = True, **config_overrides: Any
) -> Path:
    """A random Llama with a byte-level tokenizer; returns `folder`.

    Every parameter is random, norms around 1: what a forward pass forgets to apply shows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {**LLAMA, **config_overrides}
    write_json(folder / "config.json", config)
    save_file(random_weights(config, seed), folder / "model.safetensors", {"format": "pt"})
    write_json(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 2})
    write_tokenizer(folder, config["vocab_size"], chat=chat)
    return folder


def random_weights(config: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """Random tensors under the checkpoint's names, with the shapes that the config asks for."""
    description = describe(config, Path("config.json"))
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for tensor in expected_tensors(description.family, description.config):
        values = torch.randn(tensor.shape, generator=generator)
        # Matrices keep the scale of what they multiply, as trained ones about do.
        scale = tensor.shape[1] ** -0.5 if len(tensor.shape) == 2 else 0.1
        is_gain = tensor.component == "norms" and not tensor.plus_one
        if is_gain and not tensor.name.endswith(".bias"):
            values = values + 1 / scale  # gains lie around 1, everything else around 0
        weights[tensor.name] = values * scale
    return weights


def random_decoder(config: dict[str, Any], seed: int) -> Decoder:
    """The same weights in a decoder, without a folder."""
    description = describe(config, Path("config.json"))
    weights = random_weights(config, seed)
    groups = by_target(expected_tensors(description.family, description.config))
    decoder = Decoder(description.config)
    decoder.load_state_dict(
        {
            target: torch.cat([weights[part.name] for part in parts])
            for target, parts in groups.items()
        }
    )
    return decoder.requires_grad_(False).eval()


def write_tokenizer(folder: Path, vocab_size: int, *, chat: bool) -> None:
    """A byte-level BPE tokenizer of at most `vocab_size` entries, trained on a few sentences."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True) for token in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "Hello world, hello there. What is a token? The cat sat on the mat with the hat."
    tokenizer.train_from_iterator([text], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": SPECIALS[0], "eos_token": SPECIALS[2], "add_bos_token": False}
    if chat:
        settings["chat_template"] = CHATML
    write_json(folder / "tokenizer_config.json", settings)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
