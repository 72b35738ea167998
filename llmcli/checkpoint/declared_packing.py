"""What `quantization_config` declares of packed matrices, whether the core runs the method or not.

It reads the declaration loosely, for counting alone: whatever it does not understand is None. It
knows nothing of tensors. Methods: GPTQ, AWQ, AutoRound, bitsandbytes, compressed-tensors, FP8 (per
tensor, per row, per block), MXFP4; of any other the name, and the bits where it gives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DeclaredPacking:
    """How a checkpoint says that its matrices are packed.

    `bits` and `group_size` are None where they are not told, or not the same for all matrices;
    `widths` are all that occur. `format` is the method's own name for a variant of it.
    """

    method: str
    bits: int | None
    group_size: int | None
    format: str | None
    widths: tuple[int, ...]

    @property
    def label(self) -> str:
        """As people say it: `bitsandbytes 4 bit, nf4`; a name like fp8 tells its bits itself."""
        told = self.bits is None or self.method.endswith(str(self.bits))
        facts = [self.method if told else f"{self.method} {self.bits} bit"]
        if self.format is not None:
            facts.append(self.format)
        if self.group_size is not None:
            facts.append(f"groups of {self.group_size}")
        return ", ".join(facts)


def read_declared(raw: Mapping[str, Any]) -> DeclaredPacking | None:
    """The declaration of a parsed config.json; None where there is none that names a method."""
    section = raw.get("quantization_config") or raw.get("compression_config")
    if not isinstance(section, dict):
        return None
    method = section.get("quant_method")
    if method is None and ("load_in_4bit" in section or "load_in_8bit" in section):
        method = "bitsandbytes"  # files of early versions name no method
    if method is None and "compression_config" in raw:
        method = "compressed-tensors"
    if not isinstance(method, str):
        return None
    method = method[:40]
    if method == "bitsandbytes":
        return _bitsandbytes(section)
    if method == "compressed-tensors":
        return _compressed_tensors(section)
    if method == "mxfp4":
        return DeclaredPacking(method, 4, 32, None, (4,))
    if method in ("fp8", "fbgemm_fp8"):
        return DeclaredPacking(method, 8, None, _blocks(section), (8,))
    bits = _whole(section.get("bits"))
    group_size = _whole(section.get("group_size"))
    return DeclaredPacking(method, bits, group_size, None, () if bits is None else (bits,))


def _bitsandbytes(section: Mapping[str, Any]) -> DeclaredPacking:
    bits = None
    for width, key in ((4, "load_in_4bit"), (8, "load_in_8bit")):
        if section.get(key) is True or section.get(f"_{key}") is True:
            bits = width
            break
    kind = section.get("bnb_4bit_quant_type")
    named = kind if bits == 4 and kind in ("nf4", "fp4") else None
    return DeclaredPacking("bitsandbytes", bits, None, named, () if bits is None else (bits,))


def _compressed_tensors(section: Mapping[str, Any]) -> DeclaredPacking:
    """Its groups may differ in bits and in format, each for modules of its own."""
    groups = section.get("config_groups")
    schemes = list(groups.values()) if isinstance(groups, dict) else []
    weights = [
        scheme["weights"]
        for scheme in schemes
        if isinstance(scheme, dict) and isinstance(scheme.get("weights"), dict)
    ]
    bits = _distinct(each.get("num_bits") for each in weights)
    sizes = _distinct(each.get("group_size") for each in weights)
    name = section.get("format")
    return DeclaredPacking(
        "compressed-tensors",
        bits[0] if len(bits) == 1 else None,
        sizes[0] if len(sizes) == 1 else None,
        name[:40] if isinstance(name, str) else None,
        bits,
    )


def _distinct(values: Any) -> tuple[int, ...]:
    return tuple(sorted({n for n in map(_whole, values) if n is not None}))


def _blocks(section: Mapping[str, Any]) -> str | None:
    sizes = section.get("weight_block_size")
    if not isinstance(sizes, list) or len(sizes) != 2 or None in map(_whole, sizes):
        return None
    return f"blocks of {sizes[0]}×{sizes[1]}"


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 2**31 else None
