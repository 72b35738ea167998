"""Which tensors a checkpoint must hold: name, shape, concept, and where each goes in the core.

One table serves the loader, which fills the core from it, and `inspect`, which names tensors by
it. It knows nothing of what a file really holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from llmcli.checkpoint.family import Family
from llmcli.core.config import ModelConfig
from llmcli.errors import InvalidModelError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """Rows of a tensor that stand for one concept: W_Q, or its bias b_Q."""

    concept: str
    rows: int


@dataclass(frozen=True)
class Expected:
    """One tensor of the checkpoint. `target` is the core's parameter that it fills, whole or, where
    the core fuses several, from row `row` on. `parts` are its concepts in row order: more than one
    where the checkpoint fuses. `transposed`: stored as (in, out). `plus_one`: stored less 1."""

    name: str
    shape: Shape
    parts: tuple[Part, ...]
    component: str
    layer: int | None
    target: str
    row: int
    transposed: bool = False
    plus_one: bool = False

    @property
    def concept(self) -> str:
        """Its name in the literature; of a fused tensor all of them."""
        return " ".join(part.concept for part in self.parts)


@dataclass(frozen=True)
class _Module:
    """A module of the core: its parts, and its input width (None: a vector)."""

    target: str
    component: str
    parts: tuple[Part, ...]
    columns: int | None
    bias: bool = False


def expected_tensors(family: Family, config: ModelConfig, *, bare: bool = False) -> list[Expected]:
    """Every tensor that a checkpoint of this family and these sizes holds, in natural order.

    `bare`: names without the family's prefix, as files of the headless model have them.
    """
    tensors: list[Expected] = []
    for layer, module in _modules(config):
        names = family.names[module.target]
        whole = isinstance(names, str)
        stored = (
            [(names, module.parts)]
            if isinstance(names, str)
            else [(name, (part,)) for name, part in zip(names, module.parts, strict=True)]
        )
        transposed = whole and module.target in family.transposed
        for kind in ("weight", "bias") if module.bias else ("weight",):
            row = 0
            for name, parts in stored:
                rows = sum(part.rows for part in parts)
                shape: Shape = (rows,)
                if kind == "weight" and module.columns is not None:
                    shape = (module.columns, rows) if transposed else (rows, module.columns)
                name = name.removeprefix(family.prefix) if bare else name
                tensors.append(
                    Expected(
                        name=f"{name}.{kind}".replace("{i}", str(layer)),
                        shape=shape,
                        parts=parts if kind == "weight" else tuple(map(_bias, parts)),
                        component=module.component,
                        layer=layer,
                        target=f"{module.target}.{kind}".replace("{i}", str(layer)),
                        row=row,
                        transposed=transposed and len(shape) == 2,
                        plus_one=family.plus_one and module.component == "norms",
                    )
                )
                row += rows
    return tensors


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


def expected_among(family: Family, config: ModelConfig, stored: Iterable[str]) -> list[Expected]:
    """`expected_tensors`, spelled as the `stored` names are: with the family's prefix or bare."""
    bare = not any(name.startswith(family.prefix) for name in stored)
    return expected_tensors(family, config, bare=bare)


class Stored(Protocol):
    """What a header tells of a tensor."""

    @property
    def shape(self) -> Shape: ...
    @property
    def file(self) -> str: ...


def check_tensors(
    family: Family, config: ModelConfig, stored: Mapping[str, Stored]
) -> tuple[list[Expected], list[str]]:
    """Hold what the headers say against what config.json asks for, both ways.

    Returns the expected tensors and the names of tensors that nothing claims, known harmless ones
    left out. Raises InvalidModelError for a missing or misshapen tensor.
    """
    expected = expected_among(family, config, stored)
    for tensor in expected:
        found = stored.get(tensor.name)
        if found is None:
            raise InvalidModelError(
                f"tensor {tensor.name} is missing: config.json asks for it with shape "
                f"{list(tensor.shape)}"
            )
        if found.shape != tensor.shape:
            raise InvalidModelError(
                f"{found.file}: tensor {tensor.name} is {list(found.shape)}, "
                f"config.json says {list(tensor.shape)}"
            )
    claimed = {tensor.name for tensor in expected}
    unclaimed = [name for name in stored if name not in claimed]
    return expected, [name for name in unclaimed if not is_harmless(family, config, name)]


def is_harmless(family: Family, config: ModelConfig, name: str) -> bool:
    """Whether a tensor that the core does not read may be there without a word: a buffer, or the
    stored copy of a tied head."""
    if config.tied and name == f"{family.names['head']}.weight":
        return True
    return any(pattern.fullmatch(name) for pattern in family.harmless)


def by_target(expected: Iterable[Expected]) -> dict[str, list[Expected]]:
    """The tensors that fill each parameter of the core, in row order."""
    groups: dict[str, list[Expected]] = {}
    for tensor in expected:
        groups.setdefault(tensor.target, []).append(tensor)
    return groups
