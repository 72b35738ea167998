"""The tensors of a checkpoint in natural order, named by concept, equal layers folded into one.

It works from headers alone: it reads no numbers, and knows nothing of how the list is shown.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter
from typing import NamedTuple

from llmcli.checkpoint.config_json import ModelDescription
from llmcli.checkpoint.headers import TensorHeader
from llmcli.checkpoint.layout import Expected, expected_among, is_idle_bias
from llmcli.checkpoint.packed_roles import Role, Roles
from llmcli.core.config import ModelConfig
from llmcli.views.fused import TensorView, views_of

# The first component of a name that is a plain number is taken for the layer: `h.3.attn.weight`.
_LAYERED = re.compile(r"(?:^|\.)(0|[1-9][0-9]{0,8})\.(?=.)", re.DOTALL)
_DIGITS = re.compile(r"([0-9]{1,18})")


class StoredTensor(NamedTuple):
    """One tensor of the files. `concept` is None where nothing says what it is; `heads` is how many
    heads lie side by side in it and how wide each is. `parameters` counts those it holds, and
    `parameter_shape` is their shape: its own, a packed matrix's, or None where it only serves to
    unpack one, as scales do, or where it is packed in an unknown way, which `known` tells; one
    number where the count alone is known. `bytes` is what it takes in the file; `views` are the
    parts of a fused tensor. It is `within` layer `layer` of `stack` under a name of its own; both
    numbers are None, and the name is the whole one, outside of any stack of layers."""

    name: str
    concept: str | None
    layer: int | None
    component: str
    shape: tuple[int, ...]
    parameter_shape: tuple[int, ...] | None
    dtype: str
    heads: tuple[int, int] | None
    parameters: int
    bytes: int
    file: str
    views: tuple[TensorView, ...]
    known: bool


@dataclass(frozen=True)
class GroupRow:
    """What one tensor is in each layer of a group. `name` is relative to the layer; `differs` says
    that other layers of the same stack have no such row; counts are for one layer."""

    name: str
    concept: str | None
    shape: tuple[int, ...]
    dtype: str
    heads: tuple[int, int] | None
    parameters: int
    bytes: int
    files: tuple[str, ...]
    differs: bool
    views: tuple[TensorView, ...]


@dataclass(frozen=True)
class Group:
    """Consecutive layers `layers` (first, last) with equal names, dtypes and shapes, or tensors
    outside of any stack of layers, where `name` and `layers` are None. Totals are for all layers.
    """

    name: str | None
    layers: tuple[int, int] | None
    count: int
    parameters: int
    bytes: int
    tensors: tuple[GroupRow, ...]


def name_tensors(
    headers: Mapping[str, TensorHeader],
    description: ModelDescription | None,
    roles: Roles | None = None,
) -> tuple[StoredTensor, ...]:
    """Every tensor of `headers` in natural order: that of the family, or, for what no family
    claims, by name with numbers read as numbers, after the layer it belongs to.

    A tensor whose shape is not the one that the config asks for is not claimed. `roles` are those
    of a checkpoint that is packed in a way that `description` does not tell.
    """
    roles = roles or Roles(plain=dict(headers))
    expected = [] if description is None else _expected_here(description, roles.plain)
    claimed = {tensor.name: (place, tensor) for place, tensor in enumerate(expected)}
    # Where the unclaimed tensors of each layer go: behind its last claimed one.
    last: dict[tuple[str, int] | None, int] = {}
    for place, tensor in claimed.values():
        last[_place(tensor.name)[0]] = place

    rows = []
    prefix, where = "", None
    for header in headers.values():
        role = roles.by_name.get(header.name)
        name = header.name if role is None else role.matrix
        serves = role is not None and role.serves is not None
        if where is not None and name.startswith(prefix) and len(name) > len(prefix):
            within = name[len(prefix) :]  # in the layer of the one before: nearly always
        else:
            where, within = _place(name)
            prefix = name[: len(name) - len(within)]
        order: _Order
        if name in claimed:
            order = (claimed[name][0], serves, (), 0, (), False, header.name)
        elif where is None:
            order = (len(claimed), 2, _natural(name), -1, (), serves, header.name)
        else:
            stack, layer = where
            place = last.get(where, len(claimed))
            order = (place, 2, _natural(stack), layer, _natural(within), serves, header.name)
        rows.append((order, header, where, role))
    rows.sort(key=itemgetter(0))
    tensors = []
    for _, header, where, role in rows:
        name = header.name if role is None else role.matrix
        found = claimed[name][1] if name in claimed else None
        idle = name.endswith("bias") and is_idle_bias(name, headers)
        layer_number = None if where is None else where[1]
        tensors.append(_stored(header, found, description, idle, role, layer_number))
    return tuple(tensors)


# Place in the family's order, rank there; then the stack, the layer, the name within it.
_Natural = tuple[str | int, ...]
_Order = tuple[int, int, _Natural, int, _Natural, bool, str]


@lru_cache(maxsize=1 << 16)  # layers are alike
def _natural(name: str) -> _Natural:
    """What to sort names by, so that numbers in them count as numbers."""
    parts: list[str | int] = [*_DIGITS.split(name)]  # text and number in turn
    parts[1::2] = map(int, parts[1::2])
    return tuple(parts)


def fold(tensors: Iterable[StoredTensor]) -> tuple[Group, ...]:
    """The same tensors with each run of equal consecutive layers as one group."""
    runs: list[tuple[_Where, list[_Block]]] = []
    for where, block in _blocks(tensors):
        if where is not None and runs and runs[-1][0] is not None:
            (stack, first), blocks = runs[-1][0], runs[-1][1]
            follows = where == (stack, first + len(blocks))
            if follows and block.rows == blocks[-1].rows:
                blocks.append(block)
                continue
        runs.append((where, [block]))
    stacks: dict[str, list[frozenset[_Key]]] = {}
    for where, blocks in runs:
        if where is not None:
            stacks.setdefault(where[0], []).append(frozenset(blocks[0].rows))
    common = {stack: frozenset.intersection(*every) for stack, every in stacks.items()}
    return tuple(
        _group(where, blocks, None if where is None else common[where[0]]) for where, blocks in runs
    )


def _blocks(tensors: Iterable[StoredTensor]) -> "Iterator[tuple[_Where, _Block]]":
    """Runs of tensors of one layer, or of none."""
    last: tuple[str, int | None] | None = None
    block = _Block([], [])
    for tensor in tensors:
        layer, stack, within = tensor.layer, "", tensor.name
        if layer is not None:
            stack, _, within = tensor.name.partition(f".{layer}.")
            if not within:  # there is no name before the number
                stack, within = "", tensor.name.partition(".")[2]
        if (stack, layer) != last:
            if last is not None:
                yield (None if last[1] is None else (last[0], last[1])), block
            last, block = (stack, layer), _Block([], [])
        block.rows.append((within, tensor.dtype, tensor.shape))
        block.tensors.append(tensor)
    if last is not None:
        yield (None if last[1] is None else (last[0], last[1])), block


_Where = tuple[str, int] | None
_Key = tuple[str, str, tuple[int, ...]]


class _Block(NamedTuple):
    """The tensors of one layer, and what makes two layers equal."""

    rows: list[_Key]
    tensors: list[StoredTensor]


def _group(where: _Where, blocks: list[_Block], common: frozenset[_Key] | None) -> Group:
    """`blocks` are equal layers; `common` the rows of every layer."""
    name, layers = None, None
    if where is not None:
        stack, first = where
        layers = (first, first + len(blocks) - 1)
        numbers = str(first) if len(blocks) == 1 else f"{layers[0]}-{layers[1]}"
        name = f"{stack}.{numbers}" if stack else numbers
    every = [block.tensors for block in blocks]
    rows = []
    for key, same in zip(blocks[0].rows, zip(*every, strict=True), strict=True):
        tensor = same[0]
        rows.append(
            GroupRow(
                name=tensor.name if where is None else key[0],
                concept=tensor.concept,
                shape=tensor.shape,
                dtype=tensor.dtype,
                heads=tensor.heads,
                parameters=tensor.parameters,
                bytes=tensor.bytes,
                files=tuple(sorted({each.file for each in same})),
                differs=common is not None and key not in common,
                views=tensor.views,
            )
        )
    return Group(
        name=name,
        layers=layers,
        count=len(blocks),
        parameters=sum(tensor.parameters for block in every for tensor in block),
        bytes=sum(tensor.bytes for block in every for tensor in block),
        tensors=tuple(rows),
    )


def _place(name: str) -> tuple[tuple[str, int] | None, str]:
    """The stack and number of the layer that a tensor belongs to, and its name within it."""
    match = _LAYERED.search(name)
    if match is None:
        return None, name
    return (name[: match.start()], int(match[1])), name[match.end() :]


def _expected_here(
    description: ModelDescription, headers: Mapping[str, TensorHeader]
) -> list[Expected]:
    return [
        tensor
        for tensor in expected_among(
            description.family, description.config, headers, description.scheme
        )
        if tensor.name in headers and headers[tensor.name].shape == tensor.shape
    ]


def _stored(
    header: TensorHeader,
    expected: Expected | None,
    description: ModelDescription | None,
    idle: bool,
    role: Role | None,
    layer: int | None,
) -> StoredTensor:
    concept, component, heads = None, "other", None
    views: tuple[TensorView, ...] = ()
    shape = header.shape if expected is None else expected.parameters
    if role is not None:
        shape = role.shape
    if expected is not None and description is not None:
        concept, component = expected.concept, expected.component
        heads = _heads(expected.concept, description.config)
        views = views_of(expected, partial(_heads, config=description.config))
    elif description is not None:
        family = description.family
        if idle or any(pattern.fullmatch(header.name) for pattern in family.harmless):
            concept, component = "buffer", "buffers"
        elif description.config.tied and header.name == f"{family.names['head']}.weight":
            concept, component = "W_unembed", "lm_head"
    if role is not None and role.serves is not None:
        concept = f"{concept} {role.serves}" if concept else role.serves
        heads, views = None, ()
    return StoredTensor(
        header.name,
        concept,
        layer,
        component,
        header.shape,
        shape,
        header.dtype,
        heads,
        0 if shape is None else math.prod(shape),
        header.stop - header.start,
        header.file,
        views,
        role is None or role.known,
    )


def _heads(concept: str, config: ModelConfig) -> tuple[int, int] | None:
    if concept in ("W_Q", "b_Q", "W_O"):
        return config.n_heads, config.d_head
    if concept in ("W_K", "b_K", "W_V", "b_V"):
        return config.n_kv_heads, config.d_head
    return None
