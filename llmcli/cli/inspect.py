"""`llmcli inspect`: the tensors of a model, its parameters, memory, modules and forward pass.

It knows the options and which look they ask for; the figures come from `views.inspection`, each
look from a module of its own.
"""

import dataclasses
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llmcli.cli.options import COMMAND, Debug, Json, Offline, Quiet, Revision
from llmcli.cli.output import Output
from llmcli.cli.table import cell
from llmcli.errors import InvalidModelError, UsageError

if TYPE_CHECKING:
    from llmcli.cli.inspect_explain import Look
    from llmcli.cli.page import Page
    from llmcli.views.inspection import Inspection

Form = Literal["table", "md", "csv", "json"]
By = Literal["component", "dtype", "file"]

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        envvar="LLMCLI_MODEL",
        show_envvar=False,
        show_default=False,
        help="demo, a folder, org/name[@revision] on the hub, or one .safetensors file. "
        "Left out: $LLMCLI_MODEL, else SmolLM2-135M-Instruct, else demo.",
    ),
]
Compared = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="diff A B",
        show_default=False,
        help="Instead of MODEL, the word diff and two models: what differs between their files. "
        "(A folder of that name is ./diff.)",
    ),
]
Params = Annotated[
    bool, typer.Option("--params", help="Parameters by component, each count with its formula.")
]
MemoryOption = Annotated[
    bool, typer.Option("--memory", help="Weights by precision, and the KV cache by context.")
]
FitOption = Annotated[
    str | None,
    typer.Option(
        "--fit",
        metavar="SIZE",
        show_default=False,
        help="With --memory: the longest context that fits into, say, 8GiB.",
    ),
]
Tree = Annotated[
    bool, typer.Option("--tree", help="The module tree, and the forward pass with its shapes.")
]
Full = Annotated[bool, typer.Option("--full", help="Every tensor on its own, layers unfolded.")]
LayerNumber = Annotated[
    int | None,
    typer.Option("--layer", metavar="N", min=0, show_default=False, help="Only this layer."),
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="GLOB",
        show_default=False,
        help="Only tensors whose full name matches, like '*.q_proj.weight'.",
    ),
]
ByOption = Annotated[
    By | None,
    typer.Option("--by", show_default=False, help="Sums instead of tensors, by what they share."),
]
Stats = Annotated[
    bool, typer.Option("--stats", help="Read the weights: min, max, mean, sd, zeros, NaN of each.")
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Add the formulas, with this model's numbers in them.")
]
FormOption = Annotated[
    Form | None,
    typer.Option(
        "--output",
        "-o",
        envvar="LLMCLI_OUTPUT",
        show_default="table",
        help="How to print it; json holds all looks.",
    ),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", show_default=False, help="Write it to a web page, too."),
]
SvgFile = Annotated[
    Path | None,
    typer.Option("--svg", metavar="FILE", show_default=False, help="Write it to a picture, too."),
]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Of a million tensors there are many million objects and no cycle: looking for cycles among
    them, again and again, would take a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def register(app: typer.Typer) -> None:
    app.command("inspect", **COMMAND)(inspect)


@_uncollected()
def inspect(
    model: Model = None,
    compared: Compared = None,
    params: Params = False,
    memory: MemoryOption = False,
    fit: FitOption = None,
    tree: Tree = False,
    by: ByOption = None,
    stats: Stats = False,
    full: Full = False,
    layer: LayerNumber = None,
    filter: Filter = None,
    explain: Explain = False,
    form: FormOption = None,
    html: HtmlFile = None,
    svg: SvgFile = None,
    revision: Revision = None,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what is in a model's files: every tensor with its name, shape, dtype and role.

    Only headers are read, never the weights: it takes a moment for a model of any size, also for
    one on the hub, of which nothing is downloaded. Equal layers are folded into one. Other looks:
    --params, --memory, --tree, --by, and --stats, which alone reads the weights. `inspect diff A B`
    compares two models.

    Examples:

    - `llmcli inspect demo`
    - `llmcli inspect demo --params --explain`
    - `llmcli inspect demo --memory --fit 8GiB`
    - `llmcli inspect org/name@revision`
    - `llmcli inspect ./folder --layer 3`
    - `llmcli inspect ./folder/model.safetensors --full`
    - `llmcli inspect demo --tree --html tree.html`
    - `llmcli inspect demo --stats --layer 3`
    - `llmcli inspect diff demo ./folder`
    - `llmcli inspect demo --json | python -m json.tool`
    """
    from llmcli.checkpoint.store import find_headers
    from llmcli.cli.inspect_memory import parse_size
    from llmcli.cli.inspect_words import read_cost
    from llmcli.views import inspection

    wants_memory = memory or fit is not None
    look = _look(params=params, memory=wants_memory, tree=tree, by=by is not None, stats=stats)
    if look != "inventory" and full:
        raise UsageError(f"--full lists tensors: leave it out with --{look}")
    if look in ("params", "memory", "tree") and (layer is not None or filter is not None):
        raise UsageError(
            f"--{look} tells of the whole model: leave out --layer and --filter",
            hint="they select tensors for the list, --by and --stats",
        )
    form = _form(form, json)
    if explain and form not in ("table", "md"):
        raise UsageError("--explain is a text: it goes with -o table or md")
    if explain and stats:
        raise UsageError("--explain tells of counts: leave it out with --stats")
    budget = None if fit is None else parse_size(fit, "--fit")
    output = Output(json=form == "json", quiet=quiet)
    if model == "diff" or compared:
        from llmcli.cli import inspect_diff

        others = (full, explain, layer is not None, filter is not None, revision is not None)
        names = inspect_diff.pair(
            model, compared or [], alone=look == "inventory" and not any(others)
        )
        found = [find_headers(name, offline=offline, notice=output.notice) for name in names]
        difference = inspect_diff.compared(found, output)
        _deliver(difference, inspect_diff.differences(difference), form, output, html, svg)
        return
    source = find_headers(model, revision=revision, offline=offline, notice=output.notice)
    report = inspection.inspect(source, tree=look == "tree" or form == "json")
    if report.source.requests:
        output.notice(read_cost(report.model, report.source, report.totals.bytes))
    for warning in report.warnings:
        output.notice(f"warning: {cell(warning)}")
    report = _select(report, layer, filter)
    if by is not None:
        from llmcli.views.subtotals import subtotals

        report = dataclasses.replace(report, subtotals=subtotals(report.tensors, by))
    if budget is not None:
        report = _fitted(report, budget)
    if stats:
        from llmcli.cli import inspect_stats

        measured = inspect_stats.measured(report, source, output)
        report, page = measured, inspect_stats.statistics(measured)
    else:
        page = _page(report, look, full=full, explain=explain)
    _deliver(report, page, form, output, html, svg)


def _deliver(
    report: object, page: "Page", form: Form, output: Output, html: Path | None, svg: Path | None
) -> None:
    _show(report, page, form, output)
    if html is not None or svg is not None:
        _write(page, html, svg, output)


def _write(page: "Page", html: Path | None, svg: Path | None, output: Output) -> None:
    from llmcli.cli import page_files

    for path, written in ((html, page_files.html), (svg, page_files.svg)):
        if path is not None:
            page_files.write(path, written(page))
            output.notice(f"written: {cell(str(path))}")


def _look(*, params: bool, memory: bool, tree: bool, by: bool, stats: bool) -> "Look":
    """The one that is asked for; without any, the inventory."""
    asked: list[Look] = []
    if params:
        asked.append("params")
    if memory:
        asked.append("memory")
    if tree:
        asked.append("tree")
    if by:
        asked.append("by")
    if stats:
        asked.append("stats")
    if len(asked) > 1:
        raise UsageError(
            f"--{asked[0]} and --{asked[1]} are two looks: ask for one at a time",
            hint="-o json holds all of them" + (", and with --stats that, too" if stats else ""),
        )
    return asked[0] if asked else "inventory"


def _form(form: Form | None, json: bool) -> Form:
    """`--json` is `-o json`."""
    if json and form not in (None, "json"):
        raise UsageError(f"--json and -o {form} contradict each other")
    return "json" if json else form or "table"


def _select(report: "Inspection", layer: int | None, pattern: str | None) -> "Inspection":
    """The report with only the tensors asked for; counts stay those of the whole model."""
    from llmcli.views.folding import fold

    if layer is None and pattern is None:
        return report
    kept = tuple(
        tensor
        for tensor in report.tensors
        if (layer is None or tensor.layer == layer)
        and (pattern is None or fnmatchcase(tensor.name, pattern))
    )
    if not kept:
        wanted = "--filter" if layer is None else "--layer" if pattern is None else "the options"
        numbers = [tensor.layer for tensor in report.tensors if tensor.layer is not None]
        there = f"layers {min(numbers)}-{max(numbers)}" if numbers else "no layers"
        raise UsageError(
            f"{wanted}: no tensor of {report.model} matches",
            hint=f"it has {there}; llmcli inspect {report.model} lists the names",
        )
    return dataclasses.replace(report, tensors=kept, groups=fold(kept), reused=())


def _fitted(report: "Inspection", budget_bytes: int) -> "Inspection":
    from llmcli.views import memory

    if report.kv_cache is None:
        raise InvalidModelError(
            f"{report.model}: no config.json of a known family tells the size of its KV cache",
            hint="name a folder that has one, or leave out --fit: weights alone are counted",
        )
    told = report.memory
    if told.packed is None and all(row.held_bytes is None for row in told.weights):
        raise InvalidModelError(
            f"{report.model}: a model that is packed so cannot be loaded, so nothing fits",
            hint="leave out --fit: the KV cache is told without it",
        )
    return dataclasses.replace(report, memory=memory.fit(report.memory, budget_bytes))


def _page(report: "Inspection", look: "Look", *, full: bool, explain: bool) -> "Page":
    from llmcli.cli.inspect_explain import explanation
    from llmcli.cli.inspect_memory import memory
    from llmcli.cli.inspect_params import parameters
    from llmcli.cli.inspect_table import inventory, sums
    from llmcli.cli.inspect_tree import tree

    if look == "inventory":
        page = inventory(report, full=full)
    elif look == "by" and report.subtotals is not None:
        page = sums(report, report.subtotals)
    else:
        page = {"params": parameters, "memory": memory, "tree": tree}[look](report)
    if not explain:
        return page
    return dataclasses.replace(page, parts=[*page.parts, explanation(report, look)])


def _show(report: object, page: "Page", form: Form, output: Output) -> None:
    from llmcli.cli import page as pages

    if form == "md":
        output.lines(pages.markdown(page))
    elif form == "csv":
        output.lines(pages.comma_separated(page))
    elif form == "table" and not output.styled:
        output.lines(pages.plain(page))
    else:
        output.emit(report, lambda _: pages.text(page))
