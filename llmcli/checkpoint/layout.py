"""Which tensors a checkpoint must hold: name, shape, concept, and where each goes in the core.

One table serves the loader, which fills the core from it, and `inspect`, which names tensors by
it. It knows nothing of what a file really holds.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from llmcli.checkpoint.family import Family
from llmcli.checkpoint.modules import Module, Part, modules
from llmcli.checkpoint.quantization import Kind, Packing, QuantScheme
from llmcli.core.config import ModelConfig
from llmcli.core.schemes import PackScheme
from llmcli.errors import InvalidModelError

Shape = tuple[int, ...]

_SERVES: Mapping[Kind, str] = {"qzeros": "zeros", "scales": "scales", "g_idx": "groups"}


@dataclass(frozen=True)
class Expected:
    """One tensor of the checkpoint. `target` is the core's parameter that it fills, whole or, where
    the core fuses several, from row `row` on. `parts` are its concepts in row order: more than one
    where the checkpoint fuses. `transposed`: stored as (in, out). `plus_one`: stored less 1.
    `packing`: it is one of the tensors, of this `kind`, that a packed matrix is stored as, or,
    without a kind, a plain matrix that is rounded when it is loaded."""

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
    def module(self) -> str:
        """The module of the core that has the target."""
        return self.target.rpartition(".")[0]

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
    def rounding(self) -> PackScheme | None:
        """How it is rounded when it is loaded; None: it is not."""
        if self.packing is None or self.kind is not None:
            return None
        return PackScheme(self.packing.scheme.bits, self.packing.scheme.group_size)

    @property
    def dtype(self) -> str | None:
        """The one that it must be stored in; None: any of floating point."""
        return None if self.packing is None or self.kind is None else self.packing.dtype(self.kind)

    @property
    def parameters(self) -> Shape | None:
        """The shape of the parameters that it holds: its own, or that of the matrix it packs. None
        for what only serves to unpack: scales, zero points, groups."""
        if self.packing is None or self.kind is None:
            return self.shape
        packed = self.kind in ("qweight", "codes")
        return (self.packing.rows, self.packing.columns) if packed else None


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
    `stored` in the files tell otherwise; a scheme of our own says itself what it packs. Raises
    InvalidModelError for a matrix that the scheme cannot pack.
    """
    tensors: list[Expected] = []
    for layer, module in modules(config):
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
            how = None if scheme is None else _scheme_of(scheme, module, name, config, stored)
            if how is None or module.columns is None:
                weights.append(weight)
            else:
                weights += packed_tensors(weight, Packing(how, rows, module.columns))
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


def _scheme_of(
    scheme: QuantScheme, module: Module, name: str, config: ModelConfig, stored: Collection[str]
) -> QuantScheme | None:
    """How the matrix is packed, None: not at all. Those that a scheme skips are stored plain, as
    are those of a size that it cannot pack."""
    if scheme.method == "llmcli":
        return scheme.of_component(module.component, tied=config.tied)
    if module.component in ("attention", "mlp"):
        return None if f"{name}.weight" in stored else scheme
    return scheme if module.component == "lm_head" and f"{name}.qweight" in stored else None


def rounded(tensor: Expected, scheme: QuantScheme, *, tied: bool) -> Expected:
    """A plain checkpoint's tensor, to be rounded at load by a scheme of our own, if it is one that
    the scheme packs."""
    how = scheme.of_component(tensor.component, tied=tied)
    if how is None or len(tensor.shape) != 2:
        return replace(tensor, packing=None)
    rows, columns = reversed(tensor.shape) if tensor.transposed else tensor.shape
    return replace(tensor, packing=Packing(how, rows, columns))


def packed_tensors(weight: Expected, packing: Packing) -> Iterator[Expected]:
    """What is stored in place of a matrix."""
    name, target = (text.removesuffix(".weight") for text in (weight.name, weight.target))
    try:
        shapes = packing.shapes()
    except ValueError as error:
        raise InvalidModelError(f"{name}: {error}") from None
    for kind, shape in shapes.items():
        parts = weight.parts
        if kind not in ("qweight", "codes"):
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
        fits = (
            found.dtype.startswith(("F", "BF"))
            if tensor.dtype is None
            else found.dtype == tensor.dtype
        )
        if not fits:
            wanted = tensor.dtype or "floating point"
            raise InvalidModelError(
                f"{found.file}: tensor {tensor.name} has dtype {found.dtype}, not {wanted}"
            )
    claimed = {tensor.name for tensor in expected}
    unclaimed = [name for name in stored if name not in claimed]
    return expected, [name for name in unclaimed if not is_harmless(family, config, name, stored)]


def _missing(tensor: Expected, stored: Mapping[str, Stored]) -> InvalidModelError:
    message = f"tensor {tensor.name} is missing: config.json asks for it with shape"
    for kind in ("qweight", "codes"):
        packed = tensor.name.removesuffix("weight") + kind
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
