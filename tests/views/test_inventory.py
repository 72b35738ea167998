"""Natural order, concept names, and the folding of equal layers."""

from pathlib import Path

from shapes import LLAMA3_8B, SMALL, SMOLLM2_135M, write_hollow, write_shape

from llmcli.checkpoint.config_json import read_description
from llmcli.checkpoint.headers import read_folder, read_header
from llmcli.views.folding import fold
from llmcli.views.inventory import StoredTensor, name_tensors


def named(folder: Path) -> tuple[StoredTensor, ...]:
    return name_tensors(read_folder(folder), read_description(folder))


def test_layers_come_in_natural_order_with_their_concepts(tmp_path):
    tensors = named(write_shape(tmp_path, SMOLLM2_135M))
    assert len(tensors) == 272
    assert (tensors[0].name, tensors[0].concept) == ("model.embed_tokens.weight", "W_E")
    assert (tensors[-1].name, tensors[-1].concept) == ("model.norm.weight", "final_norm")
    layers = [tensor.layer for tensor in tensors[1:-1]]
    assert layers == sorted(layers)
    assert [(tensor.name, tensor.concept) for tensor in tensors if tensor.layer == 10] == [
        ("model.layers.10.input_layernorm.weight", "norm1"),
        ("model.layers.10.self_attn.q_proj.weight", "W_Q"),
        ("model.layers.10.self_attn.k_proj.weight", "W_K"),
        ("model.layers.10.self_attn.v_proj.weight", "W_V"),
        ("model.layers.10.self_attn.o_proj.weight", "W_O"),
        ("model.layers.10.post_attention_layernorm.weight", "norm2"),
        ("model.layers.10.mlp.gate_proj.weight", "W_gate"),
        ("model.layers.10.mlp.up_proj.weight", "W_up"),
        ("model.layers.10.mlp.down_proj.weight", "W_down"),
    ]


def test_heads_are_told_for_what_holds_heads(tmp_path):
    tensors = named(write_shape(tmp_path, SMOLLM2_135M))
    heads = {tensor.concept: tensor.heads for tensor in tensors}
    assert heads["W_Q"] == heads["W_O"] == (9, 64)
    assert heads["W_K"] == heads["W_V"] == (3, 64)
    assert heads["W_E"] is None
    assert heads["W_gate"] is None


def test_thirty_equal_layers_are_one_group(tmp_path):
    tensors = named(write_shape(tmp_path, SMOLLM2_135M))
    before, layers, after = fold(tensors)
    assert (layers.name, layers.layers, layers.count) == ("model.layers.0-29", (0, 29), 30)
    assert layers.parameters == 30 * 3_540_096
    assert layers.bytes == 2 * layers.parameters
    assert [row.name for row in layers.tensors][:2] == [
        "input_layernorm.weight",
        "self_attn.q_proj.weight",
    ]
    assert sum(row.parameters for row in layers.tensors) == 3_540_096
    assert not any(row.differs for row in layers.tensors)
    assert [row.name for row in before.tensors] == ["model.embed_tokens.weight"]
    assert [row.name for row in after.tensors] == ["model.norm.weight"]
    assert before.name is None


def test_a_layer_of_another_dtype_stands_apart_and_is_marked(tmp_path):
    odd = {"model.layers.2.mlp.up_proj.weight": ("F32", (48, 32))}
    groups = fold(named(write_shape(tmp_path, SMALL, changed=odd)))
    stack = [group for group in groups if group.name is not None]
    assert [(group.name, group.count) for group in stack] == [
        ("model.layers.0-1", 2),
        ("model.layers.2", 1),
        ("model.layers.3-4", 2),
    ]
    for group in stack:
        assert [row.name for row in group.tensors if row.differs] == ["mlp.up_proj.weight"]


def test_an_additional_tensor_marks_only_the_layer_that_has_it(tmp_path):
    more = {"model.layers.4.extra.weight": ("BF16", (7,))}
    groups = fold(named(write_shape(tmp_path, SMALL, changed=more)))
    assert [group.name for group in groups] == [None, "model.layers.0-3", "model.layers.4", None]
    assert not any(row.differs for row in groups[1].tensors)
    assert [row.name for row in groups[2].tensors if row.differs] == ["extra.weight"]
    assert groups[2].tensors[-1].name == "extra.weight"


def test_what_nothing_claims_has_no_concept_and_comes_last(tmp_path):
    more = {"vision.scale": ("F32", ()), "audio.weight": ("F32", (3,))}
    tensors = named(write_shape(tmp_path, SMALL, changed=more))
    assert [tensor.name for tensor in tensors[-2:]] == ["audio.weight", "vision.scale"]
    assert {tensor.component for tensor in tensors[-2:]} == {"other"}
    assert {tensor.concept for tensor in tensors[-2:]} == {None}
    assert tensors[-1].parameters == 1


def test_rotary_buffers_and_a_stored_tied_head_are_known(tmp_path):
    more = {
        "model.layers.1.self_attn.rotary_emb.inv_freq": ("F32", (4,)),
        "lm_head.weight": ("BF16", (96, 32)),
    }
    tensors = {tensor.name: tensor for tensor in named(write_shape(tmp_path, SMALL, changed=more))}
    buffer = tensors["model.layers.1.self_attn.rotary_emb.inv_freq"]
    assert (buffer.component, buffer.layer) == ("buffers", 1)
    head = tensors["lm_head.weight"]
    assert (head.component, head.concept) == ("lm_head", "W_unembed")


def test_the_files_of_a_folded_row_are_all_named(tmp_path):
    groups = fold(named(write_shape(tmp_path, LLAMA3_8B, n_shards=4)))
    files = [f"model-0000{shard}-of-00004.safetensors" for shard in (1, 2, 3, 4)]
    assert [group.count for group in groups] == [1, 32, 1]
    assert all(row.files == tuple(files) for row in groups[1].tensors)
    assert groups[0].tensors[0].files == (files[0],)


def test_without_a_config_numbers_in_names_still_sort_and_fold(tmp_path):
    names = [f"blocks.{layer}.{part}" for layer in (10, 2, 0, 1, 9) for part in ("w", "b")]
    path = write_hollow(
        tmp_path / "x.safetensors", [(name, "F32", (2, 3)) for name in ["out", *names]]
    )
    tensors = name_tensors(read_header(path).tensors, None)
    assert [tensor.name for tensor in tensors][:4] == [
        "blocks.0.b",
        "blocks.0.w",
        "blocks.1.b",
        "blocks.1.w",
    ]
    assert tensors[-1].name == "out"
    assert {tensor.component for tensor in tensors} == {"other"}
    assert [group.name for group in fold(tensors)] == ["blocks.0-2", "blocks.9-10", None]


def test_numbers_that_are_no_layer_are_left_in_the_name(tmp_path):
    names = ["a.007.w", "a.99999999999999999999.w", "a.²", "3.w", "a.1."]
    path = write_hollow(tmp_path / "x.safetensors", [(name, "F32", (1,)) for name in names])
    tensors = name_tensors(read_header(path).tensors, None)
    assert {tensor.name: tensor.layer for tensor in tensors} == {
        "a.007.w": None,
        "a.99999999999999999999.w": None,
        "a.²": None,
        "3.w": 3,
        "a.1.": None,
    }
    assert [group.name for group in fold(tensors)] == ["3", None]


def test_names_that_begin_with_a_number_keep_all_that_follows(tmp_path):
    names = [f"{layer}.a.{layer}.b" for layer in range(3)]
    path = write_hollow(tmp_path / "x.safetensors", [(name, "F32", (1,)) for name in names])
    groups = fold(name_tensors(read_header(path).tensors, None))
    assert [group.name for group in groups] == ["0", "1", "2"]
    assert [group.tensors[0].name for group in groups] == ["a.0.b", "a.1.b", "a.2.b"]
