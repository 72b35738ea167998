"""The forward pass in words has the shapes that the core's own points of observation have."""

from pathlib import Path

import pytest
import torch
from family_configs import CONFIGS
from torch import Tensor

from llmcli.checkpoint.config_json import describe
from llmcli.core.model import Decoder
from llmcli.views.forward import Step, forward_pass

# Step -> the point of `core.tap` that has its shape, block by block or once.
IN_BLOCK = {
    "Q": "attn.q",
    "K": "attn.k",
    "V": "attn.v",
    "scores": "attn.scores",
    "softmax": "attn.pattern",
    "z": "attn.z",
    "up": "mlp.up",
    "h": "mlp.post",
}
ONCE = {"W_E": "embed", "final_norm": "final_norm", "logits": "logits"}
COUNT = 5


def config_of(name: str):
    return describe({k: v for k, v in CONFIGS[name].items() if v is not None}, Path("x")).config


def sizes(step: Step) -> tuple[int, ...]:
    return tuple({"T": COUNT, "S": COUNT}.get(str(size), size) for size in step.shape)  # type: ignore[misc]


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_shapes_are_those_of_the_real_pass(name: str) -> None:
    config = config_of(name)
    seen: dict[str, tuple[int, ...]] = {}

    def tap(point: str, value: Tensor) -> Tensor:
        seen[point] = tuple(value.shape[1:])  # of a batch of one
        return value

    decoder = Decoder(config).eval()
    for parameter in decoder.parameters():
        parameter.data.zero_()
    decoder(torch.zeros(1, COUNT, dtype=torch.long), tap=tap)
    steps = {step.name: step for step in forward_pass(config).steps}
    for step, point in ONCE.items():
        assert sizes(steps[step]) == seen[point], step
    for step, point in IN_BLOCK.items():
        if step == "up" and not config.gated:
            point = "mlp.pre"
        assert sizes(steps[step]) == seen[f"blocks.0.{point}"], step
    assert sizes(steps["W_O"]) == seen["blocks.0.attn_out"]
    assert sizes(steps["down"]) == seen["blocks.0.mlp_out"]


@pytest.mark.parametrize(
    ("name", "has", "has_not"),
    [
        ("llama gqa", {"norm1", "RoPE Q, K", "gate"}, {"W_pos", "post_norm1", "norm_Q,K", "scale"}),
        ("gpt2", {"W_pos", "norm1", "up"}, {"RoPE Q, K", "gate"}),
        ("gemma2", {"post_norm1", "post_norm2", "soft cap", "scale"}, {"norm_Q,K"}),
        ("olmo2", {"norm_Q,K", "post_norm1"}, {"norm1", "norm2"}),
        ("qwen3", {"norm_Q,K", "norm1"}, {"post_norm1"}),
    ],
)
def test_steps_are_those_of_the_family(name: str, has: set[str], has_not: set[str]) -> None:
    names = {step.name for step in forward_pass(config_of(name)).steps}
    assert has <= names
    assert not has_not & names


def test_what_each_family_does_its_own_way_is_said() -> None:
    said = {name: {s.name: s.does for s in forward_pass(config_of(name)).steps} for name in CONFIGS}
    assert said["gemma2"]["scores"].startswith("Q Kᵀ × 0.204124")
    assert said["llama gqa"]["scores"] == "Q Kᵀ / √8, 2 query heads to a KV head"
    assert said["granite"]["add"] == "x + 0.5 × branch"
    assert said["llama attention-bias"]["Q"] == "W_Q x + b_Q: 4 heads of 8"
    assert said["starcoder2"]["h"] == "gelu_tanh(up): there is no gate"
    assert said["stablelm"]["RoPE Q, K"].endswith("4 of 8 dims")
    assert said["mistral window"]["softmax"] == "over the last 7 positions"


def test_layers_that_differ_are_told_apart() -> None:
    kinds = forward_pass(config_of("gemma3_text")).layer_kinds
    assert [(kind.layers, kind.window) for kind in kinds] == [((0, 2), 7), ((1,), None)]
    assert kinds[0].rope == "theta 5,000"
    assert kinds[1].rope == "theta 100,000, linear × 4"
    assert len(forward_pass(config_of("llama gqa")).layer_kinds) == 1


def test_a_window_as_wide_as_the_context_is_none() -> None:
    config = {**CONFIGS["mistral window"], "sliding_window": 128}
    told = forward_pass(describe(config, Path("x")).config)
    assert told.layer_kinds[0].window is None
