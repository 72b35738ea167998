"""How a checkpoint's matrices are packed: `quantization_config` of config.json -> QuantScheme.

It knows the layouts' names, shapes and sizes; it reads no numbers and imports no torch.
Layouts: GPTQ as AutoGPTQ and GPTQModel write it (https://github.com/AutoGPTQ/AutoGPTQ,
https://github.com/ModelCloud/GPTQModel; arXiv:2210.17323), AWQ as AutoAWQ's "gemm" version
(https://github.com/casper-hansen/AutoAWQ; arXiv:2306.00978), and our own, which
docs/quantization.md describes byte by byte. All say W = (q - zero) * scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from llmcli.checkpoint.settings import Settings
from llmcli.core.schemes import SCHEMES, PackScheme
from llmcli.core.tiles import GROUP, padded, padded_rows

Method = Literal["gptq", "awq", "llmcli"]
# What a packed module holds in place of `weight`; g_idx, in GPTQ alone, gives each column's group.
# In our own layout it holds codes and scales.
Kind = Literal["qweight", "qzeros", "scales", "g_idx", "codes"]
Quant = Literal["none", "int8", "int4"]  # what a plain model is asked to be rounded to

# checkpoint_format -> what to add to a stored zero point. The first format stores them less one.
_GPTQ_FORMATS = {"gptq": 1, "gptq_v2": 0}
WORD_BITS = 32  # of the integers that values are packed into
VERSION = 1  # of our own layout


@dataclass(frozen=True)
class QuantScheme:
    """What is the same for every packed matrix of a checkpoint.

    `group_size` columns of a row share a scale and a zero point; None: the whole row does.
    `act_order`: columns were quantized in order of their activations, so that a group's columns
    lie scattered (GPTQ's desc_act). A stored zero point is `zero_offset` less than the true one.
    """

    method: Method
    bits: int
    group_size: int | None
    symmetric: bool
    act_order: bool
    zero_offset: int

    @property
    def label(self) -> str:
        """As people say it: `gptq 4 bit, groups of 128`."""
        groups = "whole rows" if self.group_size is None else f"groups of {self.group_size}"
        if self.method != "llmcli":
            return f"{self.method} {self.bits} bit, {groups}"
        vocabulary = "" if self == OWN["int8"] else ", vocabulary int8"
        return f"int{self.bits}, {groups}{vocabulary}"

    def of_component(self, component: str, *, tied: bool) -> "QuantScheme | None":
        """How a scheme of our own rounds the matrices of a component; None: it leaves them plain.

        The vocabulary's matrix, which alone decides between tokens, keeps 8 bits. Where the head
        has its own, rows of W_E are only looked up: rounding would save no time.
        """
        if component in ("attention", "mlp"):
            return self
        return OWN["int8"] if component == ("embeddings" if tied else "lm_head") else None

    def settings(self) -> dict[str, int | str]:
        """The `quantization_config` of a scheme of our own."""
        return {
            "quant_method": "llmcli",
            "version": VERSION,
            "bits": self.bits,
            "group_size": -1 if self.group_size is None else self.group_size,
            "vocab_bits": OWN["int8"].bits,
        }


def _own(scheme: PackScheme) -> QuantScheme:
    return QuantScheme(
        method="llmcli",
        bits=scheme.bits,
        group_size=scheme.group,
        symmetric=True,
        act_order=False,
        zero_offset=0,
    )


OWN: Mapping[Quant, QuantScheme] = {name: _own(scheme) for name, scheme in SCHEMES.items()}


@dataclass(frozen=True)
class Packing:
    """One matrix (rows, columns), that is (out, in), packed by a scheme."""

    scheme: QuantScheme
    rows: int
    columns: int

    @property
    def group_size(self) -> int:
        return min(self.scheme.group_size or self.columns, self.columns)

    @property
    def n_groups(self) -> int:
        return -(-self.columns // self.group_size)

    @property
    def fits_core(self) -> bool:
        """Whether the core's quantized linear can hold it: groups of whole runs of columns, of
        which the last may be short. It holds 2, 3 and 4 bits as 4, in half a byte each, and 8 bits
        as a byte."""
        return self.group_size % GROUP == 0 or self.group_size >= self.columns

    @property
    def code_bits(self) -> int:
        return 4 if self.scheme.bits <= 4 else 8

    @property
    def scratch_bytes(self) -> int:
        """Memory that it takes besides while it is loaded: its codes, one a byte, and once more
        joined to others; or what they become on the way to a plain matrix."""
        return self.rows * self.columns * (2 if self.fits_core else 10)

    def shapes(self) -> Mapping[Kind, tuple[int, ...]]:
        """The packed tensors' shapes. Raises ValueError where the layout has no place for the
        matrix: values fill whole words, or, of 3 bits, three words at a time."""
        bits = self.scheme.bits
        if self.scheme.method == "llmcli":
            codes = (self.rows, -(-self.columns * bits // 8))
            return {"codes": codes, "scales": (self.rows, self.n_groups)}
        unit = WORD_BITS if bits == 3 else WORD_BITS // bits
        packed = (self.rows,) if self.scheme.method == "awq" else (self.rows, self.columns)
        if any(width % unit for width in packed):
            raise ValueError(
                f"{self.rows} x {self.columns} cannot be packed in {bits} bit: "
                f"not a multiple of {unit}"
            )
        zeros = (self.n_groups, self.rows * bits // WORD_BITS)
        scales = (self.n_groups, self.rows)
        if self.scheme.method == "awq":
            qweight = (self.columns, self.rows * bits // WORD_BITS)
            return {"qweight": qweight, "qzeros": zeros, "scales": scales}
        qweight = (self.columns * bits // WORD_BITS, self.rows)
        return {"qweight": qweight, "qzeros": zeros, "scales": scales, "g_idx": (self.columns,)}

    def dtype(self, kind: Kind) -> str | None:
        """What a packed tensor must be stored in; None: any of floating point."""
        if self.scheme.method == "llmcli":
            return "U8" if kind == "codes" else "F16"
        return None if kind == "scales" else "I32"

    def resident_bytes(self, kind: Kind, itemsize: int) -> int:
        """Bytes of memory that a tensor takes once loaded; `itemsize`: bytes of an activation."""
        if not self.fits_core:  # held dequantized
            return self.rows * self.columns * itemsize if kind == "qweight" else 0
        rows = padded_rows(self.rows)
        codes = rows * padded(self.columns) * self.code_bits // 8
        return {
            "qweight": codes,
            "codes": codes,
            "qzeros": rows * self.n_groups,
            "scales": rows * self.n_groups * 2,
            "g_idx": 4 * self.columns if self.scheme.act_order else 0,
        }[kind]


def read_scheme(settings: Settings) -> QuantScheme | None:
    """The scheme of a quantized checkpoint, None for a plain one.

    Which modules are packed is not read here but seen in the files. Raises InvalidModelError with
    the key and the value for every method, version and setting that is not supported.
    """
    if settings.has("compression_config"):  # the older key of compressed-tensors
        raise settings.error("compression_config", "is not supported: compressed-tensors")
    section = settings.section("quantization_config", {"quant_method": "an unnamed method"})
    if section is None:
        return None
    method = section.text("quant_method")
    if method == "gptq":
        return _gptq(section)
    if method == "awq":
        return _awq(section)
    if method == "llmcli":
        return _read_own(section)
    known = "only gptq, awq and llmcli are"
    raise section.error("quant_method", f"{method!r} is not supported: {known}")


def _read_own(section: Settings) -> QuantScheme:
    """One of the schemes that `llmcli quantize` writes, to the letter."""
    version = section.integer("version")
    if version != VERSION:
        raise section.error("version", f"must be {VERSION}, not {version}: a newer llmcli wrote it")
    bits = section.integer("bits")
    scheme = next((own for own in OWN.values() if own.bits == bits), None)
    if scheme is None:
        raise section.error("bits", f"must be 4 or 8 for llmcli, not {bits}")
    settings = scheme.settings()
    for key in ("group_size", "vocab_bits"):
        value = section.integer(key, least=-1)
        if value != settings[key]:
            raise section.error(key, f"must be {settings[key]} with {bits} bits, not {value}")
    return scheme


def _gptq(section: Settings) -> QuantScheme:
    bits = section.integer("bits")
    if bits not in (2, 3, 4, 8):
        raise section.error("bits", f"must be 2, 3, 4 or 8 for gptq, not {bits}")
    key = "checkpoint_format" if section.has("checkpoint_format") else "format"
    name = section.text(key) if section.has(key) else "gptq"
    if name not in _GPTQ_FORMATS:
        raise section.error(key, f"{name!r} is not supported: gptq and gptq_v2 are")
    if _flag(section, "is_marlin_format", False):
        raise section.error("is_marlin_format", "true is not supported")
    if section.has("pack_dtype") and section.text("pack_dtype") != "int32":
        raise section.error("pack_dtype", f"{section.text('pack_dtype')!r} is not supported")
    _refuse_overrides(section)
    return QuantScheme(
        method="gptq",
        bits=bits,
        group_size=_group_size(section),
        symmetric=_flag(section, "sym", True),
        act_order=_flag(section, "desc_act", False),
        zero_offset=_GPTQ_FORMATS[name],
    )


def _awq(section: Settings) -> QuantScheme:
    bits = section.integer("bits")
    if bits != 4:
        raise section.error("bits", f"must be 4 for awq, not {bits}")
    for key in ("version", "checkpoint_format", "format"):
        if section.has(key) and section.text(key).lower() != "gemm":
            raise section.error(key, f"{section.text(key)!r} is not supported: only gemm is")
    if section.has("backend") and section.text("backend") == "llm-awq":
        raise section.error("backend", "'llm-awq' is not supported: its layout is another")
    if not _flag(section, "zero_point", True):
        raise section.error("zero_point", "false is not supported for awq")
    return QuantScheme(
        method="awq",
        bits=bits,
        group_size=_group_size(section),
        symmetric=False,
        act_order=False,
        zero_offset=0,
    )


def _group_size(section: Settings) -> int | None:
    size = section.integer("group_size", least=-1)
    if size == 0:
        raise section.error("group_size", "must be positive, or -1 for whole rows, not 0")
    return None if size == -1 else size


def _flag(section: Settings, key: str, absent: bool) -> bool:
    return section.boolean(key) if section.has(key) else absent


def _refuse_overrides(section: Settings) -> None:
    """`dynamic` gives modules by pattern settings of their own, or, as "-:PATTERN", leaves them
    plain, which the files show by themselves."""
    dynamic = section.section("dynamic", {})
    if dynamic is None:
        return
    for pattern in section.raw("dynamic"):
        if not pattern.startswith("-:"):
            raise dynamic.error(pattern[:60], "settings for some modules alone are not supported")
