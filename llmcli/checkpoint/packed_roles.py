"""What each tensor of a packed checkpoint stands for: values, or what serves to unpack them.

It tells that from names, dtypes and shapes, held against the declaration and, where the family is
known, against the shapes that config.json asks for. It reads no numbers. What does not add up is
called unknown. Layouts, beside those in `quantization`:

bitsandbytes (QuantState.as_dict, Linear8bitLt): 4 bit: `weight` holds two values a byte in one
  column, of any storage dtype; `weight.absmax` one scale per block. 8 bit: `weight` I8, `SCB`.
compressed-tensors: `weight_packed` is I32 words, filled row by row, or U8 for FP4 and FP6;
  or `weight` in I8 or F8 beside `weight_scale`.
FP8: `weight` in F8 beside `weight_scale_inv` per block, or `weight_scale`.
MXFP4: `NAME_blocks` (..., groups, bytes), two values a byte, `NAME_scales` (..., groups).
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from llmcli.checkpoint.declared_packing import DeclaredPacking
from llmcli.checkpoint.headers import TensorHeader

Shape = tuple[int, ...]

# The end of a name -> what the tensor serves as; VALUES: it holds the matrix itself. An end that
# begins with a dot stands in place of `.weight`, any other behind the matrix's own name.
VALUES = "values"
_CACHE = {".k_scale": "cache scale", ".v_scale": "cache scale", ".q_scale": "query scale"}
_INTEGERS = {
    ".qweight": VALUES,
    ".qzeros": "zeros",
    ".scales": "scales",
    ".g_idx": "groups",
}
_FP8 = {
    **_CACHE,
    "_scale_inv": "scales",
    "_scale": "scales",
    ".input_scale": "input scale",
    ".input_scale_ub": "input bound",
    ".activation_scale": "input scale",
}
_ENDS: Mapping[str, Mapping[str, str]] = {
    "gptq": _INTEGERS,
    "awq": _INTEGERS,
    "auto-round": _INTEGERS,
    "bitsandbytes": {
        ".weight.absmax": "scales",
        ".weight.quant_map": "map",
        ".weight.nested_absmax": "scales of scales",
        ".weight.nested_quant_map": "map of scales",
        ".weight.quant_state.bitsandbytes__nf4": "layout",
        ".weight.quant_state.bitsandbytes__fp4": "layout",
        ".SCB": "scales",
        ".weight_format": "layout",
    },
    "compressed-tensors": {
        **_CACHE,
        ".weight_packed": VALUES,
        ".weight_scale": "scales",
        ".weight_zero_point": "zeros",
        ".weight_shape": "shape",
        ".weight_g_idx": "groups",
        ".weight_global_scale": "scale of scales",
        ".input_scale": "input scale",
        ".input_zero_point": "input zero",
        ".input_global_scale": "input scale",
        ".output_scale": "output scale",
        ".output_zero_point": "output zero",
    },
    "fp8": _FP8,
    "fbgemm_fp8": _FP8,
    "mxfp4": {"_blocks": VALUES, "_scales": "scales"},
}
_WORD_BITS = 32
# What no method packs values into.
_PLAIN = frozenset({"F64", "F32", "F16", "BF16", "C64", "I64", "BOOL"})


@dataclass(frozen=True)
class Role:
    """What one stored tensor is. `matrix` is the plain name of the matrix that it belongs to.
    `serves` says as what, None for the values themselves; `shape` is that of the parameters that
    it holds, None for those that hold none and where it is unknown, which `known` tells apart."""

    matrix: str
    serves: str | None
    shape: Shape | None
    known: bool = True


@dataclass
class Roles:
    """Every packed tensor's role by its name, and the checkpoint as if nothing were packed."""

    by_name: dict[str, Role] = field(default_factory=dict)
    plain: dict[str, TensorHeader] = field(default_factory=dict)


def packed_roles(
    headers: Mapping[str, TensorHeader], declared: DeclaredPacking, asked: Mapping[str, Shape]
) -> Roles:
    """The roles of the tensors in `headers`.

    `asked` are the shapes that config.json asks for, by plain name; empty for an unknown family.
    A matrix whose stored size does not fit the declared bits, or whose shape nothing tells, is
    unknown, as is all of a module that integers of an unknown layout lie in.
    """
    roles = Roles()
    values: dict[str, TensorHeader] = {}
    helpers: dict[str, dict[str, TensorHeader]] = {}
    for matrix, end, serves, header in _parts(headers, declared.method):
        if serves == VALUES:
            values[matrix] = header
        else:
            helpers.setdefault(matrix, {})[end] = header
            roles.by_name[header.name] = Role(matrix, serves, None)
    for matrix in helpers:
        if matrix in headers:
            values.setdefault(matrix, headers[matrix])
    for matrix, header in values.items():
        shape = asked.get(matrix)
        if shape is None:
            shape = _derived(header, helpers.get(matrix, {}), declared)
        elif not _fits(header, shape, declared.widths):
            shape = None
        roles.by_name[header.name] = Role(matrix, None, shape, known=shape is not None)
    for name, matrix in _strangers(headers, roles, asked):
        shape = asked.get(name)
        known = shape is not None and headers[name].shape == shape
        roles.by_name[name] = Role(matrix, None, shape if known else None, known)
    roles.plain = _as_plain(headers, roles, asked)
    return roles


def _parts(
    headers: Mapping[str, TensorHeader], method: str
) -> Iterator[tuple[str, str, str, TensorHeader]]:
    """Matrix, end of the name, what it serves as and header, of all that the method's ends fit."""
    ends = _ENDS.get(method)
    if ends is None:
        return
    longest_first = sorted(ends, key=len, reverse=True)
    pattern = re.compile(f"(.+?)({'|'.join(map(re.escape, longest_first))})", re.DOTALL)
    for name, header in headers.items():
        match = pattern.fullmatch(name)
        if match is None:
            continue
        base, end = match[1], match[2]
        matrix = f"{base}.weight" if end.startswith(".") else base
        served = matrix in headers or any(
            f"{base}{other}" in headers for other, what in ends.items() if what == VALUES
        )
        if served or end in _CACHE:
            yield matrix, end, ends[end], header


def _fits(header: TensorHeader, shape: Shape, widths: tuple[int, ...]) -> bool:
    """Whether the stored tensor is as large as a matrix of that shape in one of these widths."""
    if header.shape == shape:
        return True
    columns = shape[-1] if shape else 1
    rows = math.prod(shape[:-1])
    sizes = set()
    for bits in widths:
        sizes.add(-(-rows * columns * bits // 8))  # without a gap
        sizes.add(rows * -(-columns * bits // _WORD_BITS) * 4)  # rows of whole words
        if bits <= _WORD_BITS:  # words that hold whole values
            sizes.add(rows * -(-columns // (_WORD_BITS // bits)) * 4)
    return header.nbytes in sizes


def _derived(
    header: TensorHeader, helpers: Mapping[str, TensorHeader], declared: DeclaredPacking
) -> Shape | None:
    """The shape of a matrix that config.json does not tell, as its parts agree upon it."""
    shape = header.shape
    method = declared.method
    if method == "mxfp4":
        scales = helpers.get("_scales")
        if len(shape) < 2 or scales is None or scales.shape != shape[:-1] or header.dtype != "U8":
            return None
        return (*shape[:-2], shape[-2] * shape[-1] * 2)
    if method == "bitsandbytes":
        return _of_bitsandbytes(header, helpers)
    if method in ("fp8", "fbgemm_fp8"):
        return shape if header.dtype.startswith("F8") else None
    if method == "compressed-tensors":
        if header.name.endswith(".weight"):
            return shape if header.dtype == "I8" or header.dtype.startswith("F8") else None
        found = {_of_words(header, helpers, bits, declared) for bits in declared.widths}
    else:
        found = {_of_integers(header, helpers, bits, declared) for bits in declared.widths}
    found.discard(None)
    return found.pop() if len(found) == 1 else None


def _of_bitsandbytes(header: TensorHeader, helpers: Mapping[str, TensorHeader]) -> Shape | None:
    """In 4 bit the shape is written in no header, only the count of values, which is even for
    every matrix with an even side."""
    scales = helpers.get(".SCB")
    if scales is not None:
        fits = header.dtype == "I8" and scales.shape == header.shape[:1]
        return header.shape if fits else None
    blocks = helpers.get(".weight.absmax")
    count = 2 * header.nbytes
    sizes = (2**power for power in range(5, 13))  # of the blocks, which share a scale
    if blocks is None or not any(-(-count // size) == blocks.n_values for size in sizes):
        return None
    return (count,)


def _of_words(
    header: TensorHeader, helpers: Mapping[str, TensorHeader], bits: int, declared: DeclaredPacking
) -> Shape | None:
    """compressed-tensors: the groups' scales tell how many columns there are, for the packed row
    may end in a gap; one scale a row tells nothing."""
    scales = helpers.get(".weight_scale")
    if scales is None or declared.group_size is None or len(header.shape) < 2:
        return None
    if scales.shape[:-1] != header.shape[:-1]:
        return None
    shape = (*header.shape[:-1], scales.shape[-1] * declared.group_size)
    return shape if _fits(header, shape, (bits,)) else None


def _of_integers(
    header: TensorHeader, helpers: Mapping[str, TensorHeader], bits: int, declared: DeclaredPacking
) -> Shape | None:
    """GPTQ packs along the input, AWQ along the output; scales are (groups, out) in both."""
    scales = helpers.get(".scales")
    if scales is None or len(scales.shape) != 2 or len(header.shape) != 2:
        return None
    n_groups, rows = scales.shape
    if rows == 0 or header.nbytes * 8 % (bits * rows):
        return None
    columns = header.nbytes * 8 // (bits * rows)
    group_size = min(declared.group_size or columns, columns)
    along = header.shape[1] == rows or header.shape[0] == columns
    fits = along and group_size and -(-columns // group_size) == n_groups
    return (rows, columns) if fits else None


def _strangers(
    headers: Mapping[str, TensorHeader], roles: Roles, asked: Mapping[str, Shape]
) -> Iterator[tuple[str, str]]:
    """Tensors without a role that are packed all the same, and the matrix they belong to: those in
    place of a matrix that config.json asks for, and those in a module that holds integers."""
    stored = roles.by_name
    there = {role.matrix for role in stored.values() if role.serves is None}
    bases = {
        name.removesuffix(".weight"): name
        for name in asked
        if name.endswith(".weight") and name not in headers and name not in there
    }
    rest = [name for name in headers if name not in stored]
    modules = {
        name.rpartition(".")[0]
        for name in rest
        if headers[name].dtype not in _PLAIN and not headers[name].dtype.startswith("F8")
    }
    for name in rest:
        module, _, kind = name.rpartition(".")
        if kind == "bias":
            continue
        if module in modules:
            yield name, f"{module}.weight"
            continue
        while module and module not in bases:
            module = module.rpartition(".")[0]
        if module and name not in asked:
            yield name, bases[module]


def _as_plain(
    headers: Mapping[str, TensorHeader], roles: Roles, asked: Mapping[str, Shape]
) -> dict[str, TensorHeader]:
    plain = {name: header for name, header in headers.items() if name not in roles.by_name}
    for name, role in roles.by_name.items():
        if role.serves is None and role.matrix not in plain:
            shape = asked.get(role.matrix) or role.shape or headers[name].shape
            plain[role.matrix] = headers[name]._replace(name=role.matrix, dtype="F16", shape=shape)
    return plain
