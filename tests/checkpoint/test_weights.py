"""Loading: the tensors' values reach the core, from one file or shards, without a second copy."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import LLAMA, random_weights, write_json

from llmcli.checkpoint.config_json import read_description
from llmcli.checkpoint.headers import read_folder
from llmcli.checkpoint.layout import check_tensors
from llmcli.checkpoint.weights import load_decoder
from llmcli.core.model import Decoder
from llmcli.errors import InvalidModelError


def write(folder: Path, weights: dict[str, torch.Tensor], shards: int = 1) -> Path:
    write_json(folder / "config.json", {**LLAMA, "tie_word_embeddings": False})
    if shards == 1:
        save_file(weights, folder / "model.safetensors")
        return folder
    names = sorted(weights)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: weights[name] for name in names[shard::shards]}
        save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    return folder


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Decoder:
    description = read_description(folder)
    headers = read_folder(folder)
    expected, _ = check_tensors(description.family, description.config, headers)
    return load_decoder(
        folder, headers, expected, description.config, dtype=dtype, device=torch.device("cpu")
    )


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return random_weights({**LLAMA, "tie_word_embeddings": False}, seed=1)


def test_every_value_arrives_where_it_belongs(tmp_path: Path, weights) -> None:
    state = load(write(tmp_path, weights)).state_dict()
    layer = "model.layers.1."
    fused = torch.cat([weights[f"{layer}self_attn.{part}_proj.weight"] for part in "qkv"])
    assert torch.equal(state["blocks.1.attn.qkv.weight"], fused)
    gate_up = torch.cat([weights[f"{layer}mlp.{part}_proj.weight"] for part in ("gate", "up")])
    assert torch.equal(state["blocks.1.mlp.gate_up.weight"], gate_up)
    for ours, theirs in {
        "embed": "model.embed_tokens",
        "head": "lm_head",
        "final_norm": "model.norm",
        "blocks.1.norm1": f"{layer}input_layernorm",
        "blocks.1.norm2": f"{layer}post_attention_layernorm",
        "blocks.1.attn.out": f"{layer}self_attn.o_proj",
        "blocks.1.mlp.down": f"{layer}mlp.down_proj",
    }.items():
        assert torch.equal(state[f"{ours}.weight"], weights[f"{theirs}.weight"])


def test_shards_give_what_one_file_gives(tmp_path: Path, weights) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "three").mkdir()
    one = load(write(tmp_path / "one", weights)).state_dict()
    three = load(write(tmp_path / "three", weights, shards=3)).state_dict()
    assert one.keys() == three.keys()
    assert all(torch.equal(one[name], three[name]) for name in one)


def test_a_loaded_model_is_apart_from_its_file(tmp_path: Path, weights) -> None:
    folder = write(tmp_path, weights)
    file = folder / "model.safetensors"
    before = file.read_bytes()
    decoder = load(folder)
    assert str(file) not in Path("/proc/self/maps").read_text()
    decoder.embed.weight.zero_()
    assert file.read_bytes() == before


def test_other_dtypes_are_converted_and_norms_stay_in_fp32(tmp_path: Path, weights) -> None:
    write(tmp_path, {name: tensor.half() for name, tensor in weights.items()})
    decoder = load(tmp_path, torch.bfloat16)
    expected = weights["model.embed_tokens.weight"].half().bfloat16()
    assert torch.equal(decoder.embed.weight, expected)
    assert decoder.final_norm.weight.dtype == torch.float32
    assert decoder.dtype == torch.bfloat16


def test_tensors_that_no_number_type_aligns_are_read_right(tmp_path: Path, weights) -> None:
    file = write(tmp_path, weights) / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    odd = data[8 : 8 + length].rstrip(b" ") + b" " * 3
    odd += b" " * ((len(odd) + 1) % 2)  # an odd header length: no tensor starts on a multiple of 4
    file.write_bytes((len(odd)).to_bytes(8, "little") + odd + data[8 + length :])
    assert len(odd) % 2 == 1
    state = load(tmp_path).state_dict()
    assert torch.equal(state["embed.weight"], weights["model.embed_tokens.weight"])
    assert torch.equal(state["head.weight"], weights["lm_head.weight"])


def test_a_missing_tensor_is_named(tmp_path: Path, weights) -> None:
    del weights["model.layers.0.self_attn.q_proj.weight"]
    with pytest.raises(InvalidModelError, match=r"layers\.0\.self_attn\.q_proj\.weight is missing"):
        load(write(tmp_path, weights))


def test_a_misshapen_tensor_is_named_with_both_shapes(tmp_path: Path, weights) -> None:
    weights["model.norm.weight"] = torch.ones(31)
    with pytest.raises(InvalidModelError, match=r"model\.norm\.weight is \[31\], .* says \[32\]"):
        load(write(tmp_path, weights))


def test_a_dtype_that_cannot_be_computed_with_is_refused(tmp_path: Path, weights) -> None:
    weights["model.norm.weight"] = torch.ones(32, dtype=torch.int32)
    with pytest.raises(InvalidModelError, match="dtype I32"):
        load(write(tmp_path, weights))


def test_tensors_that_nothing_claims_are_told(tmp_path: Path, weights) -> None:
    weights["model.layers.0.extra.weight"] = torch.ones(3)
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    write(tmp_path, weights)
    description = read_description(tmp_path)
    _, unclaimed = check_tensors(description.family, description.config, read_folder(tmp_path))
    assert unclaimed == ["model.layers.0.extra.weight"]
