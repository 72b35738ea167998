"""Shared by the tests of views: a folder of GPT-2's published shape."""

import json
from pathlib import Path

import pytest
from published import MODELS
from shapes import write_hollow

from llmcli.checkpoint.config_json import describe
from llmcli.checkpoint.layout import expected_tensors


@pytest.fixture
def gpt2_folder(tmp_path: Path) -> Path:
    """GPT-2 as published: names without prefix, and a causal mask in every layer."""
    config, _ = MODELS["openai-community/gpt2"]
    description = describe(config, tmp_path / "config.json")
    tensors = expected_tensors(description.family, description.config, bare=True)
    masks = [(f"h.{layer}.attn.bias", "F32", (1, 1, 1024, 1024)) for layer in range(12)]
    folder = tmp_path / "gpt2"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    every = [(tensor.name, "F32", tensor.shape) for tensor in tensors] + masks
    write_hollow(folder / "model.safetensors", every)
    return folder
