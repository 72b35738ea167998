"""Parts of fused tensors: where they lie, and that they cover the whole without counting twice."""

from pathlib import Path

from published import MODELS
from shapes import write_hollow

from llmcli.checkpoint.config_json import describe
from llmcli.checkpoint.headers import read_header
from llmcli.checkpoint.layout import expected_tensors
from llmcli.checkpoint.store import resolve
from llmcli.views.inspection import inspect
from llmcli.views.inventory import StoredTensor, name_tensors


def named(name: str, folder: Path) -> dict[str, StoredTensor]:
    description = describe(MODELS[name][0], Path("config.json"))
    tensors = expected_tensors(description.family, description.config)
    file = write_hollow(folder / "x.safetensors", [(t.name, "BF16", t.shape) for t in tensors])
    return {t.name: t for t in name_tensors(read_header(file).tensors, description)}


def test_rows_of_phi3_are_no_thirds(tmp_path: Path) -> None:
    tensor = named("microsoft/Phi-4-mini-instruct", tmp_path)[
        "model.layers.0.self_attn.qkv_proj.weight"
    ]
    assert [(v.concept, v.dim, v.start, v.stop, v.shape, v.heads) for v in tensor.views] == [
        ("W_Q", 0, 0, 3072, (3072, 3072), (24, 128)),
        ("W_K", 0, 3072, 4096, (1024, 3072), (8, 128)),
        ("W_V", 0, 4096, 5120, (1024, 3072), (8, 128)),
    ]
    assert sum(view.parameters for view in tensor.views) == tensor.parameters


def test_the_gate_comes_first(tmp_path: Path) -> None:
    tensors = named("microsoft/Phi-3-mini-4k-instruct", tmp_path)
    views = tensors["model.layers.31.mlp.gate_up_proj.weight"].views
    assert [(v.concept, v.start, v.stop) for v in views] == [
        ("W_gate", 0, 8192),
        ("W_up", 8192, 16384),
    ]
    assert tensors["model.layers.0.self_attn.o_proj.weight"].views == ()


def test_gpt2_is_split_on_its_second_dimension(gpt2_folder: Path) -> None:
    report = inspect(resolve(str(gpt2_folder)))
    tensors = {tensor.name: tensor for tensor in report.tensors}
    views = tensors["h.3.attn.c_attn.weight"].views
    assert [(v.concept, v.dim, v.start, v.stop, v.shape) for v in views] == [
        ("W_Q", 1, 0, 768, (768, 768)),
        ("W_K", 1, 768, 1536, (768, 768)),
        ("W_V", 1, 1536, 2304, (768, 768)),
    ]
    biases = tensors["h.3.attn.c_attn.bias"].views
    assert [(v.concept, v.dim, v.shape) for v in biases] == [
        ("b_Q", 0, (768,)),
        ("b_K", 0, (768,)),
        ("b_V", 0, (768,)),
    ]
    assert report.totals.stored_parameters == 137_022_720
    assert report.totals.parameters == 124_439_808
    assert report.reused[0].reuses == "wte.weight"
