"""Public checkpoints by their published settings: sizes, spellings, and what `inspect` counts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ParameterCounts
from published import MODELS
from shapes import write_hollow

from llmcli.checkpoint.config_json import describe
from llmcli.checkpoint.families import FAMILIES
from llmcli.checkpoint.layout import expected_tensors
from llmcli.checkpoint.store import resolve
from llmcli.views.inspection import inspect

FILE = Path("config.json")


def write_headers(folder: Path, config: dict[str, Any]) -> Path:
    """A folder with this config and with headers of the shapes that the family gives it."""
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    description = describe(config, FILE)
    expected = expected_tensors(description.family, description.config)
    write_hollow(
        folder / "model.safetensors", [(tensor.name, "BF16", tensor.shape) for tensor in expected]
    )
    return folder


def v5(v4: dict[str, Any]) -> dict[str, Any]:
    """The same settings as version 5 of the reference library writes them."""
    renamed = ("rope_theta", "rope_scaling", "rope_local_base_freq", "torch_dtype")
    new = {key: value for key, value in v4.items() if key not in renamed}
    if "torch_dtype" in v4:
        new["dtype"] = v4["torch_dtype"]
    scaling = dict(v4.get("rope_scaling") or {"rope_type": "default"})
    if "type" in scaling:
        scaling["rope_type"] = scaling.pop("type")
    scaling["rope_theta"] = v4.get("rope_theta", 10000.0)
    if "partial_rotary_factor" in v4:
        scaling["partial_rotary_factor"] = new.pop("partial_rotary_factor")
    if "rope_local_base_freq" in v4:
        local = {"rope_type": "default", "rope_theta": v4["rope_local_base_freq"]}
        scaling = {"full_attention": scaling, "sliding_attention": local}
    if v4["model_type"] != "gpt2":
        new["rope_parameters"] = scaling
    every = {"gemma2": 2, "gemma3_text": 6}.get(v4["model_type"])
    if every is not None:
        new.pop("sliding_window_pattern", None)
        new["layer_types"] = [
            "sliding_attention" if (layer + 1) % every else "full_attention"
            for layer in range(v4["num_hidden_layers"])
        ]
    return new


@pytest.mark.parametrize("name", MODELS)
def test_inspect_counts_what_is_published(
    name: str, tmp_path: Path, parameter_counts: ParameterCounts
) -> None:
    config, parameters = MODELS[name]
    report = inspect(resolve(str(write_headers(tmp_path, config))))
    parameter_counts[name] = (report.totals.parameters, parameters)
    assert report.totals.parameters == parameters
    assert sum(component.parameters for component in report.components) == parameters
    assert report.warnings == ()
    assert all(tensor.concept is not None for tensor in report.tensors)


@pytest.mark.parametrize("name", MODELS)
def test_both_spellings_read_the_same(name: str) -> None:
    config, _ = MODELS[name]
    assert describe(v5(config), FILE) == describe(config, FILE)


def test_two_public_checkpoints_of_every_family_at_least() -> None:
    types = [config["model_type"] for config, _ in MODELS.values()]
    few = {family for family in FAMILIES if types.count(family) < 2}
    # Qwen's, SmolLM's and GPT's are counted over sizes; SmolLM3 came in one size only.
    assert few == {"smollm3"}


def layers_of(name: str) -> list[tuple[int | None, float | None]]:
    """(window, theta) of each layer."""
    config = describe(MODELS[name][0], FILE).config
    return [(layer.window, layer.rope and layer.rope.theta) for layer in config.layers]


def test_windows_and_thetas_lie_where_the_families_put_them() -> None:
    assert set(layers_of("mistralai/Mistral-7B-v0.1")) == {(4096, 10000.0)}
    assert set(layers_of("mistralai/Mistral-7B-v0.3")) == {(None, 1e6)}
    assert set(layers_of("Qwen/Qwen2.5-0.5B")) == {(None, 1e6)}
    assert set(layers_of("microsoft/Phi-3-mini-4k-instruct")) == {(2047, 10000.0)}
    gemma2 = layers_of("google/gemma-2-2b")
    assert gemma2[:4] == [(4096, 10000.0), (None, 10000.0)] * 2
    gemma3 = layers_of("google/gemma-3-1b-pt")
    assert gemma3[:6] == [(512, 10000.0)] * 5 + [(None, 1e6)]
    assert layers_of("HuggingFaceTB/SmolLM3-3B")[2:5] == [(None, 5e6), (None, None), (None, 5e6)]
    assert set(layers_of("openai-community/gpt2")) == {(None, None)}


def test_traits_field_by_field() -> None:
    def config_of(name: str) -> Any:
        return describe(MODELS[name][0], FILE).config

    gemma = config_of("google/gemma-2b")
    assert (gemma.activation, gemma.tied, gemma.embedding_scale) == ("gelu_tanh", True, 2048**0.5)
    gemma2 = config_of("google/gemma-2-2b")
    assert (gemma2.attention_softcap, gemma2.logit_softcap) == (50.0, 30.0)
    assert (gemma2.attention_scale, gemma2.norm_places) == (1 / 16, "both")
    gemma3 = config_of("google/gemma-3-1b-pt")
    assert (gemma3.attention_softcap, gemma3.logit_softcap, gemma3.qk_norm) == (None, None, "head")
    qwen2, qwen3 = config_of("Qwen/Qwen2.5-7B"), config_of("Qwen/Qwen3-8B")
    assert (qwen2.qkv_bias, qwen2.out_bias, qwen2.qk_norm) == (True, False, "none")
    assert (qwen3.qkv_bias, qwen3.d_head, qwen3.qk_norm) == (False, 128, "head")
    gpt2 = config_of("openai-community/gpt2-xl")
    assert (gpt2.norm, gpt2.gated, gpt2.learned_positions) == ("layer", False, 1024)
    assert (gpt2.activation, gpt2.d_ff, gpt2.tied, gpt2.qkv_bias) == ("gelu_tanh", 6400, True, True)
    phi3 = config_of("microsoft/Phi-3-mini-128k-instruct").layers[0].rope
    assert (phi3.kind, phi3.dim, phi3.original_context) == ("longrope", 96, 4096)
    assert phi3.scale == pytest.approx(1.1902380714238083)
    assert config_of("microsoft/Phi-4-mini-instruct").layers[0].rope.dim == 96
    granite = config_of("ibm-granite/granite-3.1-2b-instruct")
    assert (granite.attention_scale, granite.logit_scale) == (0.015625, 1 / 8)
    assert (granite.embedding_scale, granite.residual_scale) == (12.0, 0.22)
    assert config_of("allenai/OLMo-2-1124-7B").norm_places == "after"
    assert config_of("stabilityai/stablelm-2-1_6b").layers[0].rope.dim == 16


REFUSED = {
    "gpt2 inverse layer scale": ("openai-community/gpt2", "scale_attn_by_inverse_layer_idx", True),
    "gpt2 unscaled": ("openai-community/gpt2", "scale_attn_weights", False),
    "gemma bidirectional": ("google/gemma-3-1b-pt", "use_bidirectional_attention", True),
    "stablelm parallel": ("stabilityai/stablelm-2-1_6b", "use_parallel_residual", True),
    "stablelm qk norm": ("stabilityai/stablelm-2-1_6b", "qk_layernorm", True),
    "unknown layer type": ("Qwen/Qwen3-0.6B", "layer_types", ["chunked_attention"] * 28),
    "too few layer types": ("google/gemma-2-2b", "layer_types", ["full_attention"]),
    "unknown rope": ("Qwen/Qwen3-0.6B", "rope_scaling", {"rope_type": "ntk", "factor": 2.0}),
    "short longrope": (
        "microsoft/Phi-3-mini-128k-instruct",
        "rope_scaling",
        {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]},
    ),
    "llama rotates whole heads": ("meta-llama/Llama-2-7b-hf", "partial_rotary_factor", 0.5),
    "no window size": ("google/gemma-2-2b", "sliding_window", None),
    "mixture of experts": ("mistralai/Mistral-7B-v0.1", "model_type", "mixtral"),
    "latent attention": ("meta-llama/Llama-2-7b-hf", "model_type", "deepseek_v3"),
    "fp8": ("Qwen/Qwen3-0.6B", "quantization_config", {"quant_method": "fp8"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_refused_by_name_and_before_torch(
    case: str, tmp_path: Path
) -> None:
    name, key, value = REFUSED[case]
    folder = write_headers(tmp_path, MODELS[name][0])
    (folder / "config.json").write_text(json.dumps({**MODELS[name][0], key: value}))
    program = (  # torch is held back for ever, beside which the answer comes all the same
        "import sys; from llmcli.cli.app import run; from llmcli.engine import torch_import; "
        "torch_import.begin = lambda: None; code = run(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "generate", str(folder), "-p", "x"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4, done.stderr
    first = done.stderr.splitlines()[0]
    assert first.startswith("error: ")
    assert "config.json" in first
    assert key in first or "longrope short_factors" in first
