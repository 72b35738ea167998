"""quantization_config: which schemes are read, and that all others are refused by name."""

from pathlib import Path
from typing import Any

import pytest
from packed import awq, gptq

from llmcli.checkpoint.config_json import describe
from llmcli.checkpoint.quantization import OWN, Packing, QuantScheme
from llmcli.errors import InvalidModelError

FILE = Path("folder/config.json")


def scheme(quantization: Any) -> QuantScheme | None:
    return describe({"model_type": "llama", "quantization_config": quantization}, FILE).scheme


def test_a_plain_checkpoint_has_no_scheme() -> None:
    assert scheme(None) is None


def test_gptq_as_published() -> None:
    published = {
        "bits": 4,
        "damp_percent": 0.01,
        "desc_act": True,
        "group_size": 128,
        "model_file_base_name": "model",
        "model_name_or_path": None,
        "quant_method": "gptq",
        "static_groups": False,
        "sym": True,
        "true_sequential": True,
    }
    found = scheme(published)
    assert found == QuantScheme("gptq", 4, 128, symmetric=True, act_order=True, zero_offset=1)
    assert found.label == "gptq 4 bit, groups of 128"


def test_awq_as_published() -> None:
    published = {
        "bits": 4,
        "group_size": 128,
        "modules_to_not_convert": None,
        "quant_method": "awq",
        "version": "GEMM",
        "zero_point": True,
    }
    found = scheme(published)
    assert found == QuantScheme("awq", 4, 128, symmetric=False, act_order=False, zero_offset=0)
    assert found.label == "awq 4 bit, groups of 128"


def own(bits: Any = 4, **more: Any) -> dict[str, Any]:
    settings = {"version": 1, "bits": bits, "group_size": 32, "vocab_bits": 8}
    return {"quant_method": "llmcli", **settings, **more}


def test_what_we_write_ourselves() -> None:
    int4, int8 = scheme(own()), scheme(own(8, group_size=-1))
    assert (int4, int8) == (OWN["int4"], OWN["int8"])
    assert int4 is not None and int4.settings() == own()
    assert int8 is not None and int8.settings() == own(8, group_size=-1)
    assert int4.label == "int4, groups of 32, vocabulary int8"
    assert int8.label == "int8, whole rows"


@pytest.mark.parametrize("tied", [True, False])
def test_which_matrices_a_scheme_of_ours_rounds(tied: bool) -> None:
    components = ("embeddings", "positions", "attention", "mlp", "norms", "lm_head")
    found = {name: OWN["int4"].of_component(name, tied=tied) for name in components}
    rounded = {name: how.bits for name, how in found.items() if how is not None}
    assert rounded == {"attention": 4, "mlp": 4, "embeddings" if tied else "lm_head": 8}


@pytest.mark.parametrize(
    ("more", "zero_offset"),
    [
        ({}, 1),
        ({"checkpoint_format": "gptq"}, 1),
        ({"checkpoint_format": "gptq_v2"}, 0),
        ({"format": "gptq_v2"}, 0),
        ({"checkpoint_format": "gptq_v2", "format": "gptq"}, 0),
    ],
)
def test_both_zero_point_conventions(more: dict[str, Any], zero_offset: int) -> None:
    found = scheme(gptq(**more))
    assert found is not None
    assert found.zero_offset == zero_offset


def test_whole_rows_as_groups() -> None:
    found = scheme(gptq(3, -1))
    assert found is not None
    assert (found.group_size, found.label) == (None, "gptq 3 bit, whole rows")
    assert Packing(found, 96, 64).n_groups == 1


def test_modules_left_plain_are_seen_in_the_files() -> None:
    skipping = {
        "modules_in_block_to_quantize": [["self_attn.q_proj"]],
        "dynamic": {"-:.*down_proj": {}},
        "lm_head": False,
    }
    assert scheme(gptq(**skipping)) == scheme(gptq())


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        (gptq(5), "quantization_config.bits must be 2, 3, 4 or 8 for gptq, not 5"),
        (gptq("4"), "quantization_config.bits must be a whole number"),
        (gptq(True), "quantization_config.bits must be a whole number"),
        (gptq(group_size=0), "quantization_config.group_size must be positive"),
        (gptq(group_size=-2), "quantization_config.group_size must be from -1"),
        ({"quant_method": "gptq", "bits": 4}, "quantization_config.group_size is missing"),
        ({"quant_method": "gptq", "group_size": 4}, "quantization_config.bits is missing"),
        (gptq(sym="yes"), "quantization_config.sym must be true or false"),
        (gptq(desc_act=1), "quantization_config.desc_act must be true or false"),
        (gptq(checkpoint_format="marlin"), "quantization_config.checkpoint_format 'marlin'"),
        (gptq(format="bitblas"), "quantization_config.format 'bitblas'"),
        (gptq(is_marlin_format=True), "quantization_config.is_marlin_format true"),
        (gptq(pack_dtype="int16"), "quantization_config.pack_dtype 'int16'"),
        (gptq(dynamic={".*up_proj": {"bits": 8}}), r"dynamic\.\.\*up_proj settings for some"),
        (gptq(dynamic=[]), "quantization_config.dynamic must be an object"),
        ({**awq(), "bits": 3}, "quantization_config.bits must be 4 for awq, not 3"),
        (awq(version="gemv"), "quantization_config.version 'gemv'"),
        (awq(version="exllama"), "quantization_config.version 'exllama'"),
        (awq(version=None, format="gemv_fast"), "quantization_config.format 'gemv_fast'"),
        (awq(zero_point=False), "quantization_config.zero_point false"),
        (awq(backend="llm-awq"), "quantization_config.backend 'llm-awq'"),
        (own(version=2), "quantization_config.version must be 1, not 2: a newer llmcli"),
        (own(version=0), "quantization_config.version must be from 1"),
        (own(version="1"), "quantization_config.version must be a whole number"),
        ({"quant_method": "llmcli", "bits": 4}, "quantization_config.version is missing"),
        (own(3), "quantization_config.bits must be 4 or 8 for llmcli, not 3"),
        (own("4"), "quantization_config.bits must be a whole number"),
        (own(8), "quantization_config.group_size must be -1 with 8 bits, not 32"),
        (own(group_size=64), "quantization_config.group_size must be 32 with 4 bits, not 64"),
        (own(group_size=-1), "quantization_config.group_size must be 32 with 4 bits, not -1"),
        (own(group_size=0), "quantization_config.group_size must be 32 with 4 bits, not 0"),
        (own(group_size=None), "quantization_config.group_size must be a whole number"),
        (own(vocab_bits=4), "quantization_config.vocab_bits must be 8 with 4 bits, not 4"),
        ({"bits": 4}, "quantization_config.quant_method 'an unnamed method'"),
        ({"quant_method": 4}, "quantization_config.quant_method must be a text"),
        ([], "quantization_config must be an object"),
        *(
            ({"quant_method": method}, f"quantization_config.quant_method '{method}' is not supp")
            for method in (
                "bitsandbytes",
                "fp8",
                "fbgemm_fp8",
                "compressed-tensors",
                "mxfp4",
                "hqq",
                "aqlm",
                "quanto",
                "torchao",
                "eetq",
                "vptq",
                "higgs",
                "spqr",
                "auto-round",
                "bitnet",
            )
        ),
    ],
)
def test_what_is_wrong_or_not_supported_is_named(quantization: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        scheme(quantization)


def test_the_older_key_of_compressed_tensors() -> None:
    raw = {"model_type": "llama", "compression_config": {"format": "dense"}}
    with pytest.raises(InvalidModelError, match="compression_config is not supported"):
        describe(raw, FILE)


def test_resident_bytes_count_what_the_core_holds() -> None:
    ordered = scheme(gptq(3, 32, desc_act=True))
    assert ordered is not None
    packing = Packing(ordered, 64, 96)
    sizes = {kind: packing.resident_bytes(kind, 2) for kind in packing.shapes()}
    assert sizes == {"qweight": 64 * 96 // 2, "qzeros": 192, "scales": 384, "g_idx": 384}
    # Whole tiles of 16 rows and groups of 32 columns are held, whatever is in them.
    uneven = Packing(ordered, 70, 112)
    assert uneven.fits_core
    sizes = {kind: uneven.resident_bytes(kind, 2) for kind in sizes}
    assert sizes == {"qweight": 80 * 128 // 2, "qzeros": 320, "scales": 640, "g_idx": 448}
    narrow = scheme(gptq(3, 48))
    assert narrow is not None
    plain = Packing(narrow, 64, 96)  # no whole runs of 32 columns: held dequantized
    assert not plain.fits_core
    assert plain.resident_bytes("qweight", 2) == 64 * 96 * 2
    assert plain.resident_bytes("scales", 2) == 0
