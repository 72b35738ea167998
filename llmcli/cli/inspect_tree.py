"""The module tree as PyTorch would print it, and the forward pass drawn beside its shapes.

It knows how both are drawn; what is in them comes from `views.tree` and `views.forward`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmcli.cli.inspect_words import headline, shape, span
from llmcli.cli.page import Grid, Notes, Page, Record
from llmcli.cli.table import Row, cell

if TYPE_CHECKING:
    from llmcli.views.forward import ForwardPass, Step
    from llmcli.views.inspection import Inspection
    from llmcli.views.tree import ModuleNode

_INDENT = "  "
_RAILS = {"stream": "│ ", "branch": "│ │ ", "add": "+─┘ "}
_NAME, _FRAME = 14, 62


def tree(report: "Inspection") -> Page:
    """The tree, and, where a config.json tells of one, the forward pass. The report must have
    been asked for its tree."""
    assert report.tree is not None
    rows: list[Row] = [("module", "parameters", "stored", "concept"), *_rows(report.tree, 0)]
    without_shapes: list[Row] = [(row[0], row[1], "", row[3]) for row in rows]
    tables = [rows, without_shapes, [row[:2] for row in rows]]
    parts: list[Grid | Notes] = [Grid(tables, (1,), drawing=True)]
    if report.forward is None:
        parts.append(
            Notes(["No config.json of a known family tells what is computed: names alone."])
        )
    else:
        parts += [Grid([_drawing(report.forward)], (), drawing=True), Notes(list(_legend(report)))]
    data: list[Record] = [
        ("module", "kind", "arguments", "count", "parameters", "shapes", "concept")
    ]
    data += _records(report.tree, "")
    return Page(headline(report), parts, data)


def _rows(node: "ModuleNode", depth: int) -> Iterator[Row]:
    name = f"({cell(node.name)}): " if node.name else ""
    times = f"{node.count} × " if node.count > 1 else ""
    opened = bool(node.children)
    arguments = "" if opened else f"({node.arguments})" if node.kind else _spelled(node)
    text = f"{_INDENT * depth}{name}{times}{node.kind}{'(' if opened else arguments}"
    count = "0" if node.reuses else f"{node.parameters:,}{' each' if node.count > 1 else ''}"
    yield (text, count, *_beside(node))
    for child in node.children:
        yield from _rows(child, depth + 1)
    if opened:
        yield (f"{_INDENT * depth})", "", "", "")


def _beside(node: "ModuleNode") -> tuple[str, str]:
    """The shape of the main tensor, and what the module is called in the literature."""
    if node.reuses:
        return "", f"reuses {node.reuses}"
    if not node.tensors or not node.kind:
        return "", ""
    buffers = [tensor for tensor in node.tensors if tensor.concept == "buffer"]
    if len(buffers) == len(node.tensors):
        return "", f"buffers: {', '.join(cell(tensor.name) for tensor in buffers)}"
    main = max(node.tensors, key=lambda tensor: tensor.parameters)
    return shape(main.shape), main.concept or ""


def _spelled(node: "ModuleNode") -> str:
    """The tensors of a module that nothing but its name tells of."""
    return ", ".join(f"{cell(t.name)} {shape(t.shape)} {t.dtype}" for t in node.tensors)


def _drawing(forward: "ForwardPass") -> list[Row]:
    """The residual stream runs down on the left; what reads it and adds to it branches off."""
    blocks = f"╪═ {forward.blocks:,} {'block' if forward.blocks == 1 else 'blocks, each'} "
    rows: list[Row] = [("the forward pass", "shape")]
    last: Step | None = None
    for step in forward.steps:
        if step.per_block and not (last and last.per_block):
            rows += [("│", ""), (f"{blocks:═<{_FRAME}}", "")]
        elif last and last.per_block and not step.per_block:
            rows += [("╪" + "═" * (_FRAME - 1), ""), ("│", "")]
        if step.place == "branch" and not (last and last.place == "branch"):
            rows.append(("├─┐", ""))
        rail = "" if last is None else _RAILS[step.place]
        rows.append((f"{rail + step.name:<{_NAME}} {step.does}", _size(step)))
        last = step
    return rows


def _size(step: "Step") -> str:
    return f"({', '.join(map(str, step.shape))})"


def _legend(report: "Inspection") -> Iterator[str]:
    yield "T: positions of this pass, 1 when decoding. S: all seen, with those in the KV cache."
    kinds = report.forward.layer_kinds if report.forward is not None else ()
    for kind in kinds if len(kinds) > 1 else ():
        sees = "all positions" if kind.window is None else f"the last {kind.window:,} positions"
        rope = "no RoPE" if kind.rope is None else f"RoPE {kind.rope}"
        yield f"layers {span(kind.layers)}: {sees}, {rope}"


def _records(node: "ModuleNode", path: str) -> Iterator[Record]:
    name = ".".join(filter(None, (path, node.name)))
    shapes = " ".join(f"{cell(t.name)}:{shape(t.shape)}" for t in node.tensors)
    concept = _beside(node)[1]
    yield (cell(name), node.kind, node.arguments, node.count, node.parameters, shapes, concept)
    for child in node.children:
        yield from _records(child, name)
