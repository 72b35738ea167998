"""Which tensors a checkpoint must hold: name, shape, concept, and where each goes in the core.

One table serves the loader, which fills the core from it, and `inspect`, which names tensors by
it. It knows nothing of what a file really holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from llmcli.checkpoint.families import Family
from llmcli.core.config import ModelConfig
from llmcli.errors import InvalidModelError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Expected:
    """One tensor of the checkpoint. `target` is the core's parameter that it fills, whole or, where
    the core fuses several, from row `row` on. `concept` is its name in the literature."""

    name: str
    shape: Shape
    concept: str
    component: str
    layer: int | None
    target: str
    row: int


@dataclass(frozen=True)
class _Module:
    """A module of the core: the concepts and row counts of its parts, and its input width."""

    target: str
    component: str
    concepts: tuple[str, ...]
    rows: tuple[int, ...]
    columns: int | None
    bias: bool = False


def expected_tensors(family: Family, config: ModelConfig) -> list[Expected]:
    """Every tensor that a checkpoint of this family and these sizes holds, in natural order."""
    tensors: list[Expected] = []
    for layer, module in _modules(config):
        names = family.names[module.target]
        names = (names,) if isinstance(names, str) else names
        for kind in ("weight", "bias") if module.bias else ("weight",):
            row = 0
            for name, concept, rows in zip(names, module.concepts, module.rows, strict=True):
                wide = kind == "weight" and module.columns is not None
                tensors.append(
                    Expected(
                        name=f"{name}.{kind}".replace("{i}", str(layer)),
                        shape=(rows, module.columns or 0) if wide else (rows,),
                        concept=concept if kind == "weight" else concept.replace("W_", "b_"),
                        component=module.component,
                        layer=layer,
                        target=f"{module.target}.{kind}".replace("{i}", str(layer)),
                        row=row,
                    )
                )
                row += rows
    return tensors


def _modules(config: ModelConfig) -> Iterator[tuple[int | None, _Module]]:
    d, d_ff = config.d_model, config.d_ff
    block = (
        _Module("blocks.{i}.norm1", "norms", ("norm1",), (d,), None),
        _Module(
            "blocks.{i}.attn.qkv",
            "attention",
            ("W_Q", "W_K", "W_V"),
            (config.d_q, config.d_kv, config.d_kv),
            d,
            config.qkv_bias,
        ),
        _Module("blocks.{i}.attn.out", "attention", ("W_O",), (d,), config.d_q, config.out_bias),
        _Module("blocks.{i}.norm2", "norms", ("norm2",), (d,), None),
        _Module(
            "blocks.{i}.mlp.gate_up",
            "mlp",
            ("W_gate", "W_up"),
            (d_ff, d_ff),
            d,
            config.mlp_bias,
        ),
        _Module("blocks.{i}.mlp.down", "mlp", ("W_down",), (d,), d_ff, config.mlp_bias),
    )
    yield None, _Module("embed", "embeddings", ("W_E",), (config.vocab_size,), d)
    for layer in range(config.n_layers):
        for module in block:
            yield layer, module
    yield None, _Module("final_norm", "norms", ("final_norm",), (d,), None)
    if not config.tied:
        yield None, _Module("head", "lm_head", ("W_unembed",), (config.vocab_size,), d)


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
    expected = expected_tensors(family, config)
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
