"""Which tensors a checkpoint must hold: name, shape, concept, and where each goes in the core.

One table serves the loader, which fills the core from it, and `inspect`, which names tensors by
it. It knows nothing of what a file really holds.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from llmcli.checkpoint.family import Family
from llmcli.checkpoint.quantization import Kind, Packing, QuantScheme
from llmcli.core.config import ModelConfig
from llmcli.errors import InvalidModelError

Shape = tuple[int, ...]

_SERVES: Mapping[Kind, str] = {"qzeros": "zeros", "scales": "scales", "g_idx": "groups"}


@dataclass(frozen=True)
class Part:
    """Rows of a tensor that stand for one concept: W_Q, or its bias b_Q."""

    concept: str
    rows: int


@dataclass(frozen=True)
class Expected:
    """One tensor of the checkpoint. `target` is the core's parameter that it fills, whole or, where
    the core fuses several, from row `row` on. `parts` are its concepts in row order: more than one
    where the checkpoint fuses. `transposed`: stored as (in, out). `plus_one`: stored less 1.
    `packing`: it is one of the tensors, of this `kind`, that a packed matrix is stored as."""

    name: str
    shape: Shape
    parts: tuple[Part, ...]
    component: str
    layer: int | None
    target: str
    row: int
    transposed: bool = False
    plus_one: bool = False
    packing: Packing | None = None
    kind: Kind | None = None

    @property
    def concept(self) -> str:
        """Its name in the literature; of a fused tensor all of them."""
        return " ".join(part.concept for part in self.parts)

    @property
    def optional(self) -> bool:
        """Whether a file may lack it: groups that are runs of columns need no list."""
        return (
            self.kind == "g_idx" and self.packing is not None and not self.packing.scheme.act_order
        )

    @property
    def whole_numbers(self) -> bool:
        """Whether it is stored in 32-bit integers, and not in floating point."""
        return self.kind is not None and self.kind != "scales"

    @property
    def parameters(self) -> Shape | None:
        """The shape of the parameters that it holds: its own, or that of the matrix it packs. None
        for what only serves to unpack: scales, zero points, groups."""
        if self.packing is None:
            return self.shape
        return (self.packing.rows, self.packing.columns) if self.kind == "qweight" else None

    def resident_bytes(self, itemsize: int) -> int:
        """Bytes of memory that it takes once loaded; `itemsize`: bytes of an activation."""
        if self.packing is None or self.kind is None:
            return math.prod(self.shape) * itemsize
        return self.packing.resident_bytes(self.kind, itemsize)


@dataclass(frozen=True)
class _Module:
    """A module of the core: its parts, and its input width (None: a vector)."""

    target: str
    component: str
    parts: tuple[Part, ...]
    columns: int | None
    bias: bool = False


def expected_tensors(
    family: Family,
    config: ModelConfig,
    *,
    bare: bool = False,
    scheme: QuantScheme | None = None,
    stored: Collection[str] = (),
) -> list[Expected]:
    """Every tensor that a checkpoint of this family and these sizes holds, in natural order.

    `bare`: names without the family's prefix, as files of the headless model have them. With a
    `scheme` the matrices of attention and MLP are packed, and the head is not, but where the names
    `stored` in the files tell otherwise. Raises InvalidModelError for a matrix that the scheme
    cannot pack.
    """
    tensors: list[Expected] = []
    for layer, module in _modules(config):
        names = family.names[module.target]
        whole = isinstance(names, str)
        names_parts = (
            [(names, module.parts)]
            if isinstance(names, str)
            else [(name, (part,)) for name, part in zip(names, module.parts, strict=True)]
        )
        transposed = whole and module.target in family.transposed
        target = module.target.replace("{i}", str(layer))
        weights: list[Expected] = []
        biases: list[Expected] = []
        row = 0
        for name, parts in names_parts:
            name = name.removeprefix(family.prefix) if bare else name
            name = name.replace("{i}", str(layer))
            rows = sum(part.rows for part in parts)
            shape: Shape = (rows,)
            if module.columns is not None:
                shape = (module.columns, rows) if transposed else (rows, module.columns)
            weight = Expected(
                name=f"{name}.weight",
                shape=shape,
                parts=parts,
                component=module.component,
                layer=layer,
                target=f"{target}.weight",
                row=row,
                transposed=transposed,
                plus_one=family.plus_one and module.component == "norms",
            )
            if scheme is not None and module.columns is not None and _packed(module, name, stored):
                weights += _packed_tensors(weight, Packing(scheme, rows, module.columns))
            else:
                weights.append(weight)
            if module.bias:
                biases.append(
                    replace(
                        weight,
                        name=f"{name}.bias",
                        shape=(rows,),
                        parts=tuple(map(_bias, parts)),
                        target=f"{target}.bias",
                        transposed=False,
                    )
                )
            row += rows
        tensors += weights + biases
    return tensors


def _packed(module: _Module, name: str, stored: Collection[str]) -> bool:
    """Whether the matrix is packed: those that a scheme skips are stored plain, as are those of a
    size that it cannot pack."""
    if module.component in ("attention", "mlp"):
        return f"{name}.weight" not in stored
    return module.component == "lm_head" and f"{name}.qweight" in stored


def _packed_tensors(weight: Expected, packing: Packing) -> Iterator[Expected]:
    """What is stored in place of a matrix."""
    name, target = (text.removesuffix(".weight") for text in (weight.name, weight.target))
    try:
        shapes = packing.shapes()
    except ValueError as error:
        raise InvalidModelError(f"{name}: {error}") from None
    for kind, shape in shapes.items():
        parts = weight.parts
        if kind != "qweight":
            parts = (Part(f"{weight.concept} {_SERVES[kind]}", packing.rows),)
        yield replace(
            weight,
            name=f"{name}.{kind}",
            shape=shape,
            parts=parts,
            target=f"{target}.{kind}",
            transposed=False,
            packing=packing,
            kind=kind,
        )


def _bias(part: Part) -> Part:
    concept = part.concept
    return Part(
        concept.replace("W_", "b_") if "W_" in concept else f"{concept} bias",
        part.rows,
    )


def _modules(config: ModelConfig) -> Iterator[tuple[int | None, _Module]]:
    d = config.d_model
    yield None, _Module("embed", "embeddings", (Part("W_E", config.vocab_size),), d)
    if config.learned_positions is not None:
        rows = config.learned_positions
        yield None, _Module("positions", "positions", (Part("W_pos", rows),), d)
    block = tuple(_block(config))
    for layer in range(config.n_layers):
        for module in block:
            yield layer, module
    yield None, _norm(config, "final_norm", "final_norm", d)
    if not config.tied:
        yield None, _Module("head", "lm_head", (Part("W_unembed", config.vocab_size),), d)


def _block(config: ModelConfig) -> Iterator[_Module]:
    d, d_ff = config.d_model, config.d_ff
    before = config.norm_places in ("before", "both")
    after = config.norm_places in ("after", "both")
    if before:
        yield _norm(config, "blocks.{i}.norm1", "norm1", d)
    qkv = (Part("W_Q", config.d_q), Part("W_K", config.d_kv), Part("W_V", config.d_kv))
    yield _Module("blocks.{i}.attn.qkv", "attention", qkv, d, config.qkv_bias)
    if config.qk_norm != "none":
        all_heads = config.qk_norm == "all_heads"
        widths = (config.d_q, config.d_kv) if all_heads else (config.d_head, config.d_head)
        yield _norm(config, "blocks.{i}.attn.q_norm", "norm_Q", widths[0])
        yield _norm(config, "blocks.{i}.attn.k_norm", "norm_K", widths[1])
    yield _Module(
        "blocks.{i}.attn.out", "attention", (Part("W_O", d),), config.d_q, config.out_bias
    )
    if after:
        yield _norm(config, "blocks.{i}.post1", "post_norm1", d)
    if before:
        yield _norm(config, "blocks.{i}.norm2", "norm2", d)
    if config.gated:
        gate_up = (Part("W_gate", d_ff), Part("W_up", d_ff))
        yield _Module("blocks.{i}.mlp.gate_up", "mlp", gate_up, d, config.mlp_bias)
    else:
        yield _Module("blocks.{i}.mlp.up", "mlp", (Part("W_up", d_ff),), d, config.mlp_bias)
    yield _Module("blocks.{i}.mlp.down", "mlp", (Part("W_down", d),), d_ff, config.mlp_bias)
    if after:
        yield _norm(config, "blocks.{i}.post2", "post_norm2", d)


def _norm(config: ModelConfig, target: str, concept: str, width: int) -> _Module:
    return _Module(target, "norms", (Part(concept, width),), None, config.norm == "layer")


def count_parameters(family: Family, config: ModelConfig) -> int:
    """Parameters of the model, each counted once."""
    return sum(math.prod(tensor.shape) for tensor in expected_tensors(family, config))


def expected_among(
    family: Family, config: ModelConfig, stored: Mapping[str, "Stored"], scheme: QuantScheme | None
) -> list[Expected]:
    """`expected_tensors` as the `stored` ones are: names with the family's prefix or bare, and what
    is optional only where it is there."""
    bare = not any(name.startswith(family.prefix) for name in stored)
    asked = expected_tensors(family, config, bare=bare, scheme=scheme, stored=stored)
    return [tensor for tensor in asked if tensor.name in stored or not tensor.optional]


class Stored(Protocol):
    """What a header tells of a tensor."""

    @property
    def shape(self) -> Shape: ...
    @property
    def dtype(self) -> str: ...
    @property
    def file(self) -> str: ...


def check_tensors(
    family: Family,
    config: ModelConfig,
    stored: Mapping[str, Stored],
    *,
    scheme: QuantScheme | None = None,
) -> tuple[list[Expected], list[str]]:
    """Hold what the headers say against what config.json asks for, both ways.

    Returns the expected tensors and the names of tensors that nothing claims, known harmless ones
    left out. Raises InvalidModelError for a missing or misshapen tensor.
    """
    expected = expected_among(family, config, stored, scheme)
    for tensor in expected:
        found = stored.get(tensor.name)
        if found is None:
            raise _missing(tensor, stored)
        if found.shape != tensor.shape:
            raise InvalidModelError(
                f"{found.file}: tensor {tensor.name} is {list(found.shape)}, "
                f"config.json says {list(tensor.shape)}"
            )
        if (found.dtype == "I32") != tensor.whole_numbers:
            wanted = "I32" if tensor.whole_numbers else "floating point"
            raise InvalidModelError(
                f"{found.file}: tensor {tensor.name} has dtype {found.dtype}, not {wanted}"
            )
    claimed = {tensor.name for tensor in expected}
    unclaimed = [name for name in stored if name not in claimed]
    return expected, [name for name in unclaimed if not is_harmless(family, config, name, stored)]


def _missing(tensor: Expected, stored: Mapping[str, Stored]) -> InvalidModelError:
    message = f"tensor {tensor.name} is missing: config.json asks for it with shape"
    packed = tensor.name.removesuffix("weight") + "qweight"
    if tensor.packing is None and packed in stored:
        return InvalidModelError(
            f"{message} {list(tensor.shape)}, and the files hold {packed}",
            hint="config.json says nothing of quantization: it needs a quantization_config",
        )
    return InvalidModelError(f"{message} {list(tensor.shape)}")


def is_harmless(
    family: Family, config: ModelConfig, name: str, stored: Collection[str] = ()
) -> bool:
    """Whether a tensor that the core does not read may be there without a word: a buffer, the
    stored copy of a tied head, or a bias that packed modules carry where the family has none.
    Other readers skip such biases too, which GPTQ's packers write as zeros."""
    if config.tied and name == f"{family.names['head']}.weight":
        return True
    if is_idle_bias(name, stored):
        return True
    return any(pattern.fullmatch(name) for pattern in family.harmless)


def is_idle_bias(name: str, stored: Collection[str]) -> bool:
    """Whether a tensor that nothing claims is a packed module's bias."""
    module, dot, kind = name.rpartition(".")
    return kind == "bias" and f"{module}{dot}qweight" in stored


def by_target(expected: Iterable[Expected]) -> dict[str, list[Expected]]:
    """The tensors that fill each parameter of the core, in row order."""
    groups: dict[str, list[Expected]] = {}
    for tensor in expected:
        groups.setdefault(tensor.target, []).append(tensor)
    return groups
