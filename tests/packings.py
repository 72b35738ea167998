"""The tensors that quantizing tools store in place of a matrix, by the layouts that they document.

Names and shapes are written out here, not taken from the package: they are what it is held to. They
were compared with what bitsandbytes 0.50 and compressed-tensors 0.20 themselves save.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Shape = tuple[int, ...]
Stored = tuple[str, str, Shape]  # name, dtype, shape
Packer = Callable[[str, int, int], Iterable[Stored]]


def bitsandbytes_4bit(name: str, rows: int, columns: int) -> Iterator[Stored]:
    """NF4 with double quantization: blocks of 64 values, whose scales come in blocks of 256."""
    blocks = -(-rows * columns // 64)
    yield f"{name}.weight", "U8", (-(-rows * columns // 2), 1)
    yield f"{name}.weight.absmax", "U8", (blocks,)
    yield f"{name}.weight.quant_map", "F32", (16,)
    yield f"{name}.weight.nested_absmax", "F32", (-(-blocks // 256),)
    yield f"{name}.weight.nested_quant_map", "F32", (256,)
    yield f"{name}.weight.quant_state.bitsandbytes__nf4", "U8", (153,)


def bitsandbytes_4bit_in_bf16(name: str, rows: int, columns: int) -> Iterator[Stored]:
    """bnb_4bit_quant_storage = bfloat16, and no double quantization."""
    yield f"{name}.weight", "BF16", (rows * columns // 4, 1)
    yield f"{name}.weight.absmax", "F32", (-(-rows * columns // 64),)
    yield f"{name}.weight.quant_map", "F32", (16,)
    yield f"{name}.weight.quant_state.bitsandbytes__fp4", "U8", (90,)


def bitsandbytes_8bit(name: str, rows: int, columns: int) -> Iterator[Stored]:
    yield f"{name}.weight", "I8", (rows, columns)
    yield f"{name}.SCB", "F32", (rows,)
    yield f"{name}.weight_format", "U8", ()


def pack_quantized(bits: int, group_size: int | None, *, symmetric: bool = True) -> Packer:
    def stored(name: str, rows: int, columns: int) -> Iterator[Stored]:
        groups = 1 if group_size is None else columns // group_size
        yield f"{name}.weight_packed", "I32", (rows, -(-columns * bits // 32))
        yield f"{name}.weight_scale", "BF16", (rows, groups)
        if not symmetric:
            yield f"{name}.weight_zero_point", "I32", (-(-rows * bits // 32), groups)
            yield f"{name}.weight_g_idx", "I32", (columns,)
        yield f"{name}.weight_shape", "I64", (2,)

    return stored


def in_place(dtype: str, scales: Callable[[int, int], Shape], *more: str) -> Packer:
    """`weight` as it is, in 8 bits, with its scales and, each a scalar, `more`."""

    def stored(name: str, rows: int, columns: int) -> Iterator[Stored]:
        yield f"{name}.weight", dtype, (rows, columns)
        yield f"{name}.weight_scale", "F32", scales(rows, columns)
        for kind in more:
            yield f"{name}.{kind}", "F32", (1,)

    return stored


def fp8_blocks(name: str, rows: int, columns: int) -> Iterator[Stored]:
    yield f"{name}.weight", "F8_E4M3", (rows, columns)
    yield f"{name}.weight_scale_inv", "F32", (-(-rows // 128), -(-columns // 128))


def fp4(group_size: int, scale: str, *more: str) -> Packer:
    """nvfp4-pack-quantized and mxfp4-pack-quantized."""

    def stored(name: str, rows: int, columns: int) -> Iterator[Stored]:
        yield f"{name}.weight_packed", "U8", (rows, columns // 2)
        yield f"{name}.weight_scale", scale, (rows, columns // group_size)
        for kind in more:
            yield f"{name}.{kind}", "F32", (1,)

    return stored


def gptq(bits: int, group_size: int) -> Packer:
    def stored(name: str, rows: int, columns: int) -> Iterator[Stored]:
        groups = columns // group_size
        yield f"{name}.qweight", "I32", (columns * bits // 32, rows)
        yield f"{name}.qzeros", "I32", (groups, rows * bits // 32)
        yield f"{name}.scales", "F16", (groups, rows)
        yield f"{name}.g_idx", "I32", (columns,)

    return stored


def awq(group_size: int) -> Packer:
    def stored(name: str, rows: int, columns: int) -> Iterator[Stored]:
        yield f"{name}.qweight", "I32", (columns, rows // 8)
        yield f"{name}.qzeros", "I32", (columns // group_size, rows // 8)
        yield f"{name}.scales", "F16", (columns // group_size, rows)

    return stored


def mxfp4_experts(name: str, experts: int, rows: int, columns: int) -> Iterator[Stored]:
    """As gpt-oss has them: blocks of 32 values in 16 bytes."""
    yield f"{name}_blocks", "U8", (experts, rows, columns // 32, 16)
    yield f"{name}_scales", "U8", (experts, rows, columns // 32)
    yield f"{name}_bias", "BF16", (experts, rows)


def compressed(form: str, **weights: Any) -> dict[str, Any]:
    """A quantization_config of compressed-tensors with one group."""
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": ["lm_head"],
    }


BNB4 = {
    "quant_method": "bitsandbytes",
    "load_in_4bit": True,
    "_load_in_4bit": True,
    "load_in_8bit": False,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
}
BNB8 = {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False}
W4A16 = compressed("pack-quantized", num_bits=4, type="int", strategy="group", group_size=128)
W8A16 = compressed("pack-quantized", num_bits=8, type="int", strategy="channel", group_size=None)
W3A16 = compressed("pack-quantized", num_bits=3, type="int", strategy="group", group_size=128)
W8A8 = compressed("int-quantized", num_bits=8, type="int", strategy="channel", group_size=None)
NAIVE = compressed("naive-quantized", num_bits=8, type="int", strategy="tensor")
FP8_ROWS = compressed("float-quantized", num_bits=8, type="float", strategy="channel")
FP8_WHOLE = compressed("float-quantized", num_bits=8, type="float", strategy="tensor")
NVFP4 = compressed(
    "nvfp4-pack-quantized", num_bits=4, type="float", strategy="tensor_group", group_size=16
)
MXFP4_CT = compressed(
    "mxfp4-pack-quantized", num_bits=4, type="float", strategy="group", group_size=32
)
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
FP8_TENSOR = {"quant_method": "fp8", "activation_scheme": "static"}
FBGEMM = {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}
MARLIN = {"quant_method": "gptq", "bits": 4, "group_size": 128, "is_marlin_format": True}
GEMV = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemv"}
ROUND = {"quant_method": "auto-round", "bits": 4, "group_size": 128}
MXFP4 = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}


def rowwise(rows: int, columns: int) -> Shape:
    return (rows, 1)


def whole(rows: int, columns: int) -> Shape:
    return ()


# What the core does not run: declaration, layout, and how people say it.
METHODS: Mapping[str, tuple[dict[str, Any], Packer, str]] = {
    "bnb nf4": (BNB4, bitsandbytes_4bit, "bitsandbytes 4 bit, nf4"),
    "bnb in bf16": (BNB4, bitsandbytes_4bit_in_bf16, "bitsandbytes 4 bit, nf4"),
    "bnb int8": (BNB8, bitsandbytes_8bit, "bitsandbytes 8 bit"),
    "w4a16": (
        W4A16,
        pack_quantized(4, 128),
        "compressed-tensors 4 bit, pack-quantized, groups of 128",
    ),
    "w4a16 zeros": (
        W4A16,
        pack_quantized(4, 128, symmetric=False),
        "compressed-tensors 4 bit, pack-quantized, groups of 128",
    ),
    "w3a16": (
        W3A16,
        pack_quantized(3, 128),
        "compressed-tensors 3 bit, pack-quantized, groups of 128",
    ),
    "w8a16": (W8A16, pack_quantized(8, None), "compressed-tensors 8 bit, pack-quantized"),
    "w8a8": (W8A8, in_place("I8", rowwise), "compressed-tensors 8 bit, int-quantized"),
    "naive": (
        NAIVE,
        in_place("I8", whole, "input_scale", "input_zero_point"),
        "compressed-tensors 8 bit, naive-quantized",
    ),
    "fp8 rows": (
        FP8_ROWS,
        in_place("F8_E4M3", rowwise),
        "compressed-tensors 8 bit, float-quantized",
    ),
    "fp8 whole": (
        FP8_WHOLE,
        in_place("F8_E4M3", whole, "input_scale"),
        "compressed-tensors 8 bit, float-quantized",
    ),
    "nvfp4": (
        NVFP4,
        fp4(16, "F8_E4M3", "weight_global_scale", "input_global_scale"),
        "compressed-tensors 4 bit, nvfp4-pack-quantized, groups of 16",
    ),
    "mxfp4 in rows": (
        MXFP4_CT,
        fp4(32, "U8"),
        "compressed-tensors 4 bit, mxfp4-pack-quantized, groups of 32",
    ),
    "fp8 blocks": (FP8, fp8_blocks, "fp8, blocks of 128×128"),
    "fp8 tensor": (FP8_TENSOR, in_place("F8_E4M3", whole, "input_scale"), "fp8"),
    "fbgemm": (FBGEMM, in_place("F8_E4M3", rowwise, "input_scale_ub"), "fbgemm_fp8"),
    "marlin": (MARLIN, gptq(4, 128), "gptq 4 bit, groups of 128"),
    "gemv": (GEMV, awq(128), "awq 4 bit, groups of 128"),
    "auto-round": (ROUND, gptq(4, 128), "auto-round 4 bit, groups of 128"),
}
