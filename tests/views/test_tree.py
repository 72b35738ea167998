"""The module tree: real names, kinds, folded layers, and counts that add up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from published import MODELS
from shapes import SMALL, SMOLLM2_135M, write_hollow, write_shape

from llmcli.checkpoint.store import resolve
from llmcli.views.inspection import Inspection, inspect
from llmcli.views.tree import ModuleNode


def report_of(path: Path) -> Inspection:
    return inspect(resolve(str(path)))


def every(node: ModuleNode) -> Iterator[ModuleNode]:
    yield node
    for child in node.children:
        yield from every(child)


def find(node: ModuleNode, path: str) -> ModuleNode:
    for name in path.split("."):
        node = next(child for child in node.children if child.name == name)
    return node


def spelled(node: ModuleNode) -> str:
    return f"{node.kind}({node.arguments})"


def test_smollm2_135m(tmp_path: Path) -> None:
    tree = report_of(write_shape(tmp_path, SMOLLM2_135M)).tree
    assert tree.parameters == 134_515_008
    assert spelled(find(tree, "model.embed_tokens")) == "Embedding(49152, 576)"
    block = find(tree, "model.layers.0-29")
    assert (block.kind, block.count, block.parameters) == ("Block", 30, 3_540_096)
    assert [child.name for child in block.children] == [
        "input_layernorm",
        "self_attn",
        "post_attention_layernorm",
        "mlp",
    ]
    assert [child.kind for child in block.children] == ["RMSNorm", "Attention", "RMSNorm", "MLP"]
    k_proj = find(block, "self_attn.k_proj")
    assert spelled(k_proj) == "Linear(576, 192, bias=False)"
    assert (k_proj.tensors[0].shape, k_proj.tensors[0].concept) == ((192, 576), "W_K")
    head = find(tree, "lm_head")
    assert (head.reuses, head.parameters, spelled(head)) == (
        "W_E",
        0,
        "Linear(576, 49152, bias=False)",
    )


def test_gpt2_is_conv1d_with_buffers_left_out(tmp_path: Path, gpt2_folder: Path) -> None:
    tree = report_of(gpt2_folder).tree
    assert tree.parameters == 124_439_808
    block = find(tree, "h.0-11")
    assert spelled(find(block, "attn.c_attn")) == "Conv1D(2304, 768)"
    assert spelled(find(block, "ln_1")) == "LayerNorm(768)"
    assert find(block, "attn").tensors[0].concept == "buffer"
    assert block.parameters == 7_087_872


def test_the_counts_of_children_add_up(gpt2_folder: Path) -> None:
    for node in every(report_of(gpt2_folder).tree):
        if node.children:
            assert node.parameters == sum(each.count * each.parameters for each in node.children)


def test_layers_that_differ_stand_apart(tmp_path: Path) -> None:
    odd = {"model.layers.2.mlp.up_proj.weight": ("F32", (48, 32))}
    tree = report_of(write_shape(tmp_path, SMALL, changed=odd)).tree
    assert [child.name for child in find(tree, "model.layers").children] == ["0-1", "2", "3-4"]


def test_packed_modules_say_so(tmp_path: Path) -> None:
    from packed import gptq, write_twins

    packed, plain = write_twins(tmp_path, gptq(4, 32))
    tree = report_of(packed).tree
    q_proj = find(tree, "model.layers.0-1.self_attn.q_proj")
    assert q_proj.kind == "QuantizedLinear"
    twin = report_of(plain).tree
    assert q_proj.arguments == find(twin, "model.layers.0-1.self_attn.q_proj").arguments
    assert tree.parameters == twin.parameters


@pytest.mark.parametrize("name", MODELS)
def test_the_tree_of_every_published_shape_holds_its_parameters(name: str, tmp_path: Path) -> None:
    from llmcli.checkpoint.config_json import describe
    from llmcli.checkpoint.layout import expected_tensors
    from llmcli.views.inventory import name_tensors
    from llmcli.views.tree import module_tree

    config, parameters = MODELS[name]
    description = describe(config, Path("config.json"))
    tensors = expected_tensors(description.family, description.config)
    file = write_hollow(tmp_path / "x.safetensors", [(t.name, "BF16", t.shape) for t in tensors])
    from llmcli.checkpoint.headers import read_header

    named = name_tensors(read_header(file).tensors, description)
    tree = module_tree(named, description, [])
    assert tree.parameters == parameters
    assert not [node.name for node in every(tree) if not node.kind]


def test_a_file_alone_is_a_tree_of_names(tmp_path: Path) -> None:
    tensors = [(f"net.{i}.w", "F32", (2, 3)) for i in range(3)] + [("net.3.w", "F32", (9,))]
    tree = report_of(write_hollow(tmp_path / "x.safetensors", tensors)).tree
    net = find(tree, "net")
    assert [(child.name, child.kind, child.count) for child in net.children] == [
        ("0-2", "", 3),
        ("3", "", 1),
    ]
    assert net.children[0].tensors[0].name == "w"


def test_names_that_nest_without_end_are_cut(tmp_path: Path) -> None:
    tensors = [(".".join("a" * 20_000), "F32", (1,)), ("", "F32", (1,)), ("..", "F32", (1,))]
    tree = report_of(write_hollow(tmp_path / "x.safetensors", tensors)).tree
    assert sum(1 for _ in every(tree)) < 60
    assert tree.parameters == 3
