"""The modules of a checkpoint as a tree, by the names of its tensors, equal ones folded.

It knows what kind of module holds which tensors; it knows nothing of how a tree is drawn.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from llmcli.checkpoint.config_json import ModelDescription
from llmcli.views.folding import equal_layers
from llmcli.views.inventory import StoredTensor

_DEEPEST = 24  # names of strangers may nest without end: the rest of such a one is not taken apart
_CONTAINERS = {"attention": "Attention", "mlp": "MLP"}


@dataclass(frozen=True)
class Held:
    """A tensor of a module: its name there, its stored shape, and its concept."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    concept: str | None
    parameters: int


@dataclass(frozen=True)
class ModuleNode:
    """A module, or `count` equal ones in a row, whose `name` then is their range, `0-29`.

    `kind` and `arguments` are how PyTorch would build it: Linear, (576, 192, bias=False); a kind is
    empty where only names tell of the module. `parameters` are those of one of them, buffers left
    out; `reuses` names the concept whose matrix it takes for its own.
    """

    name: str
    kind: str
    arguments: str
    count: int
    parameters: int
    tensors: tuple[Held, ...]
    reuses: str | None
    children: tuple["ModuleNode", ...]


@dataclass
class _Branch:
    """A module while its tensors are gathered; or the first, `name`, of `count` equal ones."""

    name: str
    count: int = 1
    tensors: list[tuple[str, StoredTensor]] = field(default_factory=list)
    children: dict[str, "_Branch"] = field(default_factory=dict)

    def at(self, path: Iterable[str]) -> "_Branch":
        """A module below this one, made if it is not there yet."""
        branch = self
        for name in path:
            branch = branch.children.setdefault(name, _Branch(name))
        return branch

    def take_in(self) -> None:
        """Tensors below one of this module's own, as `weight.absmax` is below `weight`, serve to
        unpack it: they are the module's too, but where equal layers are among them."""
        for name in [name for name, _ in self.tensors if name in self.children]:
            if self.children[name].has_several():
                continue
            below = self.children.pop(name)
            below.take_in()
            self.tensors += [(f"{name}.{rest}", tensor) for rest, tensor in below.every()]

    def has_several(self) -> bool:
        return self.count > 1 or any(child.has_several() for child in self.children.values())

    def every(self) -> Iterator[tuple[str, StoredTensor]]:
        """All tensors from here down, by their names from here on."""
        yield from self.tensors
        for name, child in self.children.items():
            yield from ((f"{name}.{rest}", tensor) for rest, tensor in child.every())

    def components(self) -> set[str]:
        own = {tensor.component for _, tensor in self.tensors}
        return own.union(*(child.components() for child in self.children.values()))


def module_tree(
    tensors: Sequence[StoredTensor], description: ModelDescription | None, reused: Sequence[str]
) -> ModuleNode:
    """The root, which has no name. `reused` names matrices that the model has and the files do not:
    the tied head."""
    root = _Branch("")
    for run in equal_layers(tensors):
        layers, stack, first = run.layers, run.stack.split(".")[:-1], str(run.first)
        if run.first is not None and len(stack) < _DEEPEST:
            siblings = root.at(stack).children
            if first not in siblings:
                siblings[first] = _Branch(first, len(layers))
                layers = layers[:1]
        for tensor in chain.from_iterable(layers):
            *path, last = tensor.name.split(".", maxsplit=_DEEPEST)
            root.at(path).tensors.append((last, tensor))
    builder = _Builder(description)
    tree = builder.node(root, inside_list=False)
    family = "" if description is None else description.family.model_type
    heads = tuple(builder.tied_head(name) for name in reused)
    return replace(tree, kind=family or "file", children=tree.children + heads)


class _Builder:
    def __init__(self, description: ModelDescription | None) -> None:
        self.description = description
        self.transposed: set[str] = set()
        if description is not None:
            family = description.family
            for target in family.transposed:
                name = family.names[target]
                if isinstance(name, str):
                    self.transposed |= {name, name.removeprefix(family.prefix)}

    def node(self, branch: _Branch, *, inside_list: bool) -> ModuleNode:
        branch.take_in()
        numbered = bool(branch.children) and all(map(_is_number, branch.children))
        nodes = [self.node(child, inside_list=numbered) for child in branch.children.values()]
        kind, arguments = self._kind(branch, numbered, inside_list)
        own = sum(t.parameters for _, t in branch.tensors if t.component != "buffers")
        return ModuleNode(
            name=branch.name,
            kind=kind,
            arguments=arguments,
            count=branch.count,
            parameters=own + sum(node.count * node.parameters for node in nodes),
            tensors=tuple(
                Held(name, tensor.shape, tensor.dtype, tensor.concept, tensor.parameters)
                for name, tensor in branch.tensors
            ),
            reuses=None,
            children=tuple(_folded(nodes) if numbered else _each(nodes)),
        )

    def tied_head(self, name: str) -> ModuleNode:
        """The head that is W_E once more."""
        module = name.removesuffix(".weight")
        sizes = ""
        if self.description is not None:
            config = self.description.config
            sizes = f"{config.d_model}, {config.vocab_size}, bias=False"
        return ModuleNode(module, "Linear", sizes, 1, 0, (), "W_E", ())

    def _kind(self, branch: _Branch, numbered: bool, inside_list: bool) -> tuple[str, str]:
        if self.description is None:
            return "Module" if branch.children else "", ""
        if numbered:
            return "ModuleList", ""
        components = branch.components() - {"norms", "buffers"}
        if branch.children:
            only = _CONTAINERS.get(next(iter(components), "")) if len(components) == 1 else None
            return "Block" if inside_list else only or "Module", ""
        bias = any(name == "bias" and t.component != "buffers" for name, t in branch.tensors)
        own = [tensor for name, tensor in branch.tensors if name != "bias"]
        main = max(own, key=lambda tensor: tensor.parameters, default=None)
        if main is None or main.parameter_shape is None or main.component in ("other", "buffers"):
            return "", ""
        serving = any(tensor.parameter_shape is None for tensor in own)
        packed = serving or main.parameter_shape != main.shape
        return self._leaf(main, main.parameter_shape, packed=packed, bias=bias)

    def _leaf(
        self, main: StoredTensor, shape: tuple[int, ...], *, packed: bool, bias: bool
    ) -> tuple[str, str]:
        before = "Quantized" if packed else ""
        if main.component == "norms" and self.description is not None:
            config = self.description.config
            return "RMSNorm" if config.norm == "rms" else "LayerNorm", f"{math.prod(shape)}"
        if len(shape) != 2:
            return "", ""
        if main.component in ("embeddings", "positions"):
            return f"{before}Embedding", f"{shape[0]}, {shape[1]}"
        module = main.name.rpartition(".")[0]
        if re.sub(r"(^|\.)\d+\.", r"\1{i}.", module) in self.transposed and not packed:
            return "Conv1D", f"{shape[1]}, {shape[0]}"  # outputs first, and always a bias
        return f"{before}Linear", f"{shape[1]}, {shape[0]}, bias={bias}"


def _is_number(name: str) -> bool:
    return re.fullmatch(r"0|[1-9][0-9]{0,8}", name) is not None


def _folded(nodes: Iterable[ModuleNode]) -> Iterator[ModuleNode]:
    """Runs of equal modules with consecutive numbers as one node each."""
    runs: list[ModuleNode] = []
    for node in nodes:
        last = runs[-1] if runs else node
        follows = int(node.name) == int(last.name) + last.count
        if follows and replace(node, name=last.name, count=last.count) == last:
            runs[-1] = replace(last, count=last.count + node.count)
        else:
            runs.append(node)
    for run in runs:
        stop = int(run.name) + run.count - 1
        yield run if run.count == 1 else replace(run, name=f"{run.name}-{stop}")


def _each(nodes: Iterable[ModuleNode]) -> Iterator[ModuleNode]:
    """Where they stand beside others, numbers are names like any other."""
    for node in nodes:
        for number in range(node.count):
            name = node.name if node.count == 1 else str(int(node.name) + number)
            yield replace(node, name=name, count=1)
