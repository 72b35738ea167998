"""Everything that `inspect` tells of a model folder or of one file, from config.json and headers.

It reads no weights, imports no torch, and knows nothing of how the report is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from llmcli.checkpoint.config_json import ModelDescription
from llmcli.checkpoint.declared_packing import DeclaredPacking
from llmcli.checkpoint.headers import TensorHeader, read_folder, read_header
from llmcli.checkpoint.layout import (
    check_tensors,
    count_parameters,
    expected_among,
    is_harmless,
)
from llmcli.checkpoint.listed_config import ListedConfig, listed, read_listed
from llmcli.checkpoint.packed_roles import Roles, packed_roles
from llmcli.checkpoint.quantization import QuantScheme
from llmcli.checkpoint.store import RemoteModel, Source
from llmcli.core.config import ModelConfig
from llmcli.errors import InvalidModelError
from llmcli.views.components import Component, Totals, count_components, count_totals
from llmcli.views.folding import Group, fold
from llmcli.views.forward import ForwardPass, forward_pass
from llmcli.views.inventory import StoredTensor, name_tensors
from llmcli.views.memory import (
    KVCacheMemory,
    Memory,
    counted_memory,
    kv_cache_memory,
    model_memory,
)
from llmcli.views.subtotals import HeaderCheck, Subtotals, check_headers
from llmcli.views.tree import ModuleNode, module_tree

# The header's spellings -> those of `--dtype`; others are shown in lower case.
_DTYPES = {"F32": "fp32", "BF16": "bf16", "F16": "fp16", "F64": "fp64"}


@dataclass(frozen=True)
class Attention:
    """Who shares keys and values with whom: `sharing` query heads use one KV head, and the KV
    cache is smaller by that factor. `head_dim` is one head's width."""

    kind: str
    query_heads: int
    kv_heads: int
    head_dim: int
    sharing: int


@dataclass(frozen=True)
class Reused:
    """A tensor that the model has and the files do not: it is another one."""

    name: str
    concept: str
    reuses: str


@dataclass(frozen=True)
class ReadFrom:
    """Where the report comes from, and what it cost: network requests, and bytes of headers; of
    those that came over the network, all bytes that were received."""

    kind: str
    requests: int
    bytes_read: int
    commit: str | None


@dataclass(frozen=True)
class Inspection:
    """One model, or one file. What only a config.json tells is None where there is none.

    `dtype` is the one that holds the most values, of those that are not packed by `quantization`;
    `quantized` says it in words. `groups` are the `tensors`, folded. `uncounted` names those of
    which nothing tells how many parameters they hold, `unmapped` those that the family has no place
    for. `subtotals` and `tree` are there where they were asked for.
    """

    schema: ClassVar[str] = "inspect/1"

    model: str
    family: str | None
    dtype: str | None
    quantization: QuantScheme | DeclaredPacking | None
    quantized: str | None
    context: int | None
    vocab_size: int | None
    layers: int | None
    tied: bool | None
    attention: Attention | None
    kv_cache: KVCacheMemory | None
    totals: Totals
    components: tuple[Component, ...]
    groups: tuple[Group, ...]
    tensors: tuple[StoredTensor, ...]
    reused: tuple[Reused, ...]
    uncounted: tuple[str, ...]
    warnings: tuple[str, ...]
    source: ReadFrom
    unmapped: tuple[str, ...]
    check: HeaderCheck
    memory: Memory
    tree: ModuleNode | None
    forward: ForwardPass | None
    subtotals: Subtotals | None = None


def inspect(source: Source | RemoteModel, *, tree: bool = True) -> Inspection:
    """Read the headers, and hold them against config.json; `tree`: tell the modules, too, which of
    a million tensors takes a minute.

    A folder whose config.json is missing or damaged, or contradicted by the tensors, raises
    InvalidModelError; a family or a packing that the core does not run is listed all the same, and
    so is one file, whatever lies beside it.
    """
    if isinstance(source, RemoteModel):
        config = listed(source.config, source.folder / "config.json")
        headers = source.headers
    elif source.kind == "file":
        return _inspect_file(source, tree)
    else:
        try:
            config = read_listed(source.folder)
        except InvalidModelError as error:
            raise _with_way_out(error, source.folder) from None
        headers = read_folder(source.folder)
    warnings = list(config.warnings)
    try:
        roles, unclaimed = _held_against(config, headers)
    except InvalidModelError as error:
        raise _with_way_out(error, source.folder) from None
    if config.description is not None:
        warnings += _warnings(config.description, roles.plain, unclaimed)
    return _report(source, headers, config, roles, warnings, tree)


def _held_against(
    config: ListedConfig, headers: Mapping[str, TensorHeader]
) -> tuple[Roles, list[str]]:
    """What each tensor stands for, and the names that the family does not know."""
    roles = _roles(config, headers)
    if config.description is None:
        return roles, []
    family, sizes = config.description.family, config.description.config
    _, unclaimed = check_tensors(family, sizes, roles.plain, scheme=config.description.scheme)
    return roles, unclaimed


def _roles(config: ListedConfig, headers: Mapping[str, TensorHeader]) -> Roles:
    if config.packing is None:
        return Roles(plain=dict(headers))
    asked = {}
    if config.description is not None:
        family, sizes = config.description.family, config.description.config
        asked = {each.name: each.shape for each in expected_among(family, sizes, headers, None)}
    return packed_roles(headers, config.packing, asked)


def _inspect_file(source: Source, tree: bool) -> Inspection:
    path = Path(source.name)
    headers = read_header(path).tensors
    try:
        config = read_listed(path.parent)
        roles = _roles(config, headers)
        if config.description is None:
            return _report(source, headers, config, roles, list(config.warnings), tree)
        family, sizes = config.description.family, config.description.config
        expected = expected_among(family, sizes, roles.plain, config.description.scheme)
    except InvalidModelError as error:
        there = (path.parent / "config.json").exists()
        left_aside = [f"the config.json beside it is left aside: {error}"] if there else []
        roles = Roles(plain=dict(headers))
        return _report(source, headers, ListedConfig(), roles, left_aside, tree)
    shapes = {tensor.name: tensor.shape for tensor in expected}
    plain = roles.plain
    unclaimed = [
        name for name in plain if name not in shapes and not is_harmless(family, sizes, name, plain)
    ]
    warnings = [*config.warnings, *_warnings(config.description, plain, unclaimed)]
    wrong = [name for name in shapes if name in plain and plain[name].shape != shapes[name]]
    if wrong:
        warnings.append(
            f"{_tensors(len(wrong))} another shape than config.json says, counted as other: "
            f"{wrong[0]} is {list(plain[wrong[0]].shape)}, not {list(shapes[wrong[0]])}"
        )
    missing = sum(name not in plain for name in shapes)
    if missing:
        warnings.append(
            f"{missing:,} of the {len(shapes):,} tensors that config.json asks for are not in this "
            "file: counts are the file's, not the model's"
        )
    return _report(source, headers, config, roles, warnings, tree)


def _report(
    source: Source | RemoteModel,
    headers: Mapping[str, TensorHeader],
    declared: ListedConfig,
    roles: Roles,
    warnings: list[str],
    tree: bool,
) -> Inspection:
    description, packing = declared.description, declared.packing
    config = None if description is None else description.config
    tied = None if config is None else config.tied
    scheme = packing if description is None else description.scheme or packing
    tensors = name_tensors(headers, description, roles)
    components = count_components(tensors, tied=tied)
    totals = count_totals(tensors, components, tied=tied)
    reused = () if description is None else _reused(description, headers)
    unknown = tuple(tensor.name for tensor in tensors if not tensor.known)
    if unknown:
        some = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        warnings.append(
            f"parameters of {len(unknown):,} packed tensors are unknown and not counted, since "
            f"neither names nor sizes tell how they are packed: {some}"
        )
    return Inspection(
        model=source.name,
        family=None if description is None else description.family.model_type,
        dtype=_main_dtype(tensors, scheme, roles),
        quantization=scheme,
        quantized=None if scheme is None else scheme.label,
        context=None if config is None else config.context,
        vocab_size=None if config is None else config.vocab_size,
        layers=None if config is None else config.n_layers,
        tied=tied,
        attention=None if config is None else _attention(config),
        kv_cache=None if config is None else kv_cache_memory(config),
        totals=totals,
        components=components,
        groups=fold(tensors),
        tensors=tensors,
        reused=reused,
        uncounted=unknown,
        warnings=tuple(warnings),
        source=_read_from(source, headers),
        unmapped=tuple(t.name for t in tensors if config and t.component == "other"),
        check=check_headers(headers, tensors, components, alone=source.kind == "file"),
        memory=_memory(declared, roles, totals),
        tree=module_tree(tensors, description, [t.name for t in reused]) if tree else None,
        forward=None if config is None else forward_pass(config),
    )


def _memory(declared: ListedConfig, roles: Roles, totals: Totals) -> Memory:
    """Of the whole model, also where the files are only a part of it."""
    description = declared.description
    if description is None:
        return counted_memory(totals.parameters, totals.bytes)
    family, config = description.family, description.config
    runs = declared.packing is None
    return model_memory(
        config,
        expected_among(family, config, roles.plain, description.scheme) if runs else None,
        roles.plain,
        parameters=count_parameters(family, config),
        file_bytes=totals.bytes,
    )


def _warnings(
    description: ModelDescription, headers: Mapping[str, TensorHeader], unclaimed: list[str]
) -> list[str]:
    warnings = []
    if unclaimed:
        named = ", ".join(unclaimed[:3]) + (", ..." if len(unclaimed) > 3 else "")
        family = description.family.model_type
        warnings.append(
            f"{_tensors(len(unclaimed))} no place in the family {family}, counted as other: {named}"
        )
    head = f"{description.family.names['head']}.weight"
    if description.config.tied and head in headers:
        warnings.append(f"{head} is stored, though config.json ties it to W_E: counted once")
    return warnings


def _tensors(count: int) -> str:
    return "1 tensor has" if count == 1 else f"{count:,} tensors have"


def _with_way_out(error: InvalidModelError, folder: Path) -> InvalidModelError:
    """The same error, with a hint at how to list what the files do hold."""
    file = min(folder.glob("*.safetensors"), default=None)
    if file is not None:
        listing = f"to list one file alone: llmcli inspect {file}"
        error.hint = f"{error.hint}; {listing}" if error.hint else listing
    return error


def _attention(config: ModelConfig) -> Attention:
    return Attention(
        kind=config.attention_kind,
        query_heads=config.n_heads,
        kv_heads=config.n_kv_heads,
        head_dim=config.d_head,
        sharing=config.n_heads // config.n_kv_heads,
    )


def _reused(
    description: ModelDescription, headers: Mapping[str, TensorHeader]
) -> tuple[Reused, ...]:
    family = description.family
    head, embedding = f"{family.names['head']}.weight", f"{family.names['embed']}.weight"
    if embedding not in headers:
        embedding = embedding.removeprefix(family.prefix)
    if not description.config.tied or head in headers or embedding not in headers:
        return ()
    return (Reused(head, "W_unembed", embedding),)


def _main_dtype(
    tensors: tuple[StoredTensor, ...], scheme: QuantScheme | DeclaredPacking | None, roles: Roles
) -> str | None:
    plain = [tensor for tensor in tensors if tensor.parameter_shape == tensor.shape]
    if roles.by_name:
        plain = [tensor for tensor in plain if tensor.name not in roles.by_name]
    if isinstance(scheme, QuantScheme):
        plain = [tensor for tensor in plain if tensor.dtype not in ("I32", "U8")]
    counts: dict[str, int] = {}
    for tensor in plain:
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.parameters
    if not counts:
        return None
    dtype = max(counts, key=lambda name: counts[name])
    return _DTYPES.get(dtype, dtype.lower())


def _read_from(source: Source | RemoteModel, headers: Mapping[str, TensorHeader]) -> ReadFrom:
    if isinstance(source, RemoteModel):
        return ReadFrom(source.kind, source.requests, source.bytes_read, source.commit)
    return ReadFrom(source.kind, 0, _header_bytes(headers), source.commit)


def _header_bytes(headers: Mapping[str, TensorHeader]) -> int:
    """The tensors follow the header, so each file's first tensor begins where its header ends."""
    starts: dict[str, int] = {}
    for header in headers.values():
        if header.start < starts.get(header.file, header.start + 1):
            starts[header.file] = header.start
    return sum(starts.values())
