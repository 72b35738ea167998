"""One chat turn on a folder of every family: random weights, the whole way through the command."""

from pathlib import Path

import pytest
from oracle import write_model
from published import MODELS
from tiny_models import write_json, write_tokenizer

from llmcli.checkpoint.families import FAMILIES
from llmcli.cli.app import run

SMALL = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "sliding_window": 16,
    "query_pre_attn_scalar": 8,
    "no_rope_layers": None,
    "original_max_position_embeddings": 256,
    "rope_scaling": None,
    "partial_rotary_factor": None,
}
SMALL_GPT2 = {"vocab_size": 320, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chat_turn(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = next(config for config, _ in MODELS.values() if config["model_type"] == family)
    small = SMALL_GPT2 if family == "gpt2" else {k: v for k, v in SMALL.items() if k in published}
    folder = write_model(tmp_path / family, {**published, **small})
    write_tokenizer(folder, 320, chat=True)
    write_json(folder / "generation_config.json", {"eos_token_id": 2})
    code = run(["chat", str(folder), "-p", "Hello there.", "-n", "8", "--seed", "1", "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert '"schema": "chat/1"' in printed.out
    assert printed.out.count('"type": "token"') >= 1
