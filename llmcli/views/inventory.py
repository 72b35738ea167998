"""The tensors of a checkpoint in natural order, each named by its concept.

It works from headers alone: it reads no numbers, and knows nothing of how the list is shown.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache, partial
from operator import itemgetter
from typing import NamedTuple

from llmcli.checkpoint.config_json import ModelDescription
from llmcli.checkpoint.headers import TensorHeader
from llmcli.checkpoint.layout import Expected, Shape, expected_among, is_idle_bias
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
    bare: dict[Shape, _What] = {}  # of tensors that nothing but their shape tells of
    tensors = []
    for layer, members in _in_order(headers, claimed, roles):
        for header in members:
            name, dtype, shape, start, stop, file = header
            role = roles.by_name.get(name)
            if description is not None or role is not None:
                found = claimed.get(name if role is None else role.matrix, (0, None))[1]
                what = _what(header, found, description, role, headers)
            elif shape in bare:
                what = bare[shape]
            else:
                what = bare[shape] = _what(header, None, None, None, headers)
            concept, component, parameter_shape, heads, parameters, views, known = what
            tensors.append(
                StoredTensor(
                    name,
                    concept,
                    layer,
                    component,
                    shape,
                    parameter_shape,
                    dtype,
                    heads,
                    parameters,
                    stop - start,
                    file,
                    views,
                    known,
                )
            )
    return tuple(tensors)


_Layer = tuple[str, int]  # the stack, the number in it
_Natural = tuple[str | int, ...]
# Place in the family's order, rank there; then stack, layer, and what else tells two apart.
_Order = tuple[int, int, _Natural, int, bool, str]


def _in_order(
    headers: Mapping[str, TensorHeader], claimed: Mapping[str, tuple[int, Expected]], roles: Roles
) -> list[tuple[int | None, list[TensorHeader]]]:
    """The tensors in natural order, in runs of a layer each, or of none."""
    # Where the unclaimed tensors of each layer go: behind its last claimed one.
    last: dict[_Layer | None, int] = {}
    for place, tensor in claimed.values():
        last[_place(tensor.name)[0]] = place

    runs: list[tuple[_Order, int | None, list[TensorHeader]]] = []
    layers: dict[_Layer, tuple[list[str], list[TensorHeader]]] = {}
    prefix, where = "", None
    names: list[str] = []
    members: list[TensorHeader] = []
    for stored, header in headers.items():
        role = roles.by_name.get(stored)
        name = stored if role is None else role.matrix
        serves = role is not None and role.serves is not None
        # In the layer of the one before, as nearly always, or taken apart.
        if where is None or not name.startswith(prefix) or len(name) == len(prefix):
            where, within = _place(name)
            prefix = name[: len(name) - len(within)]
            if where is not None:
                names, members = layers.setdefault(where, ([], []))
        if name in claimed:
            order: _Order = (claimed[name][0], serves, (), 0, False, stored)
            runs.append((order, None if where is None else where[1], [header]))
        elif where is None:
            order = (len(claimed), 2, _natural(name), -1, serves, stored)
            runs.append((order, None, [header]))
        else:
            names.append(name[len(prefix) :])
            members.append(header)
    known: dict[tuple[str, ...], Sequence[int]] = {}
    for (stack, layer), (names, members) in layers.items():
        order = (last.get((stack, layer), len(claimed)), 2, _natural(stack), layer, False, stack)
        runs.append((order, layer, _sorted(names, members, roles, known)))
    runs.sort(key=itemgetter(0))
    return [(layer, members) for _, layer, members in runs]


def _sorted(
    names: Sequence[str],
    members: Sequence[TensorHeader],
    roles: Roles,
    known: dict[tuple[str, ...], Sequence[int]],
) -> list[TensorHeader]:
    """The tensors of one layer, which have these `names` in it. Layers are alike: `known` holds
    how those with the same names in the same order were sorted."""
    roles_here = [roles.by_name.get(header.name) for header in members] if roles.by_name else []

    def order(place: int) -> tuple[_Natural, bool, str]:
        role = roles_here[place] if roles_here else None
        serves = role is not None and role.serves is not None
        return _natural(names[place]), serves, members[place].name

    if roles_here:
        return [members[place] for place in sorted(range(len(names)), key=order)]
    key = tuple(names)
    if key not in known:
        known[key] = sorted(range(len(names)), key=order)
    return [members[place] for place in known[key]]


@lru_cache(maxsize=1 << 16)  # layers are alike
def _natural(name: str) -> _Natural:
    """What to sort names by, so that numbers in them count as numbers."""
    parts: list[str | int] = [*_DIGITS.split(name)]  # text and number in turn
    parts[1::2] = map(int, parts[1::2])
    return tuple(parts)


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


# Concept, component, shape of the parameters, heads, count of parameters, views, and whether all
# that is known.
_What = tuple[
    str | None,
    str,
    Shape | None,
    tuple[int, int] | None,
    int,
    tuple[TensorView, ...],
    bool,
]


def _what(
    header: TensorHeader,
    expected: Expected | None,
    description: ModelDescription | None,
    role: Role | None,
    stored: Collection[str],
) -> _What:
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
        name = header.name if role is None else role.matrix
        harmless = any(pattern.fullmatch(header.name) for pattern in family.harmless)
        if harmless or is_idle_bias(name, stored):
            concept, component = "buffer", "buffers"
        elif description.config.tied and header.name == f"{family.names['head']}.weight":
            concept, component = "W_unembed", "lm_head"
    if role is not None and role.serves is not None:
        concept = f"{concept} {role.serves}" if concept else role.serves
        heads, views = None, ()
    count = 0 if shape is None else math.prod(shape)
    return concept, component, shape, heads, count, views, role is None or role.known


def _heads(concept: str, config: ModelConfig) -> tuple[int, int] | None:
    if concept in ("W_Q", "b_Q", "W_O"):
        return config.n_heads, config.d_head
    if concept in ("W_K", "b_K", "W_V", "b_V"):
        return config.n_kv_heads, config.d_head
    return None
