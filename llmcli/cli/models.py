"""`llmcli models`: what models are on this disk.

It knows the looks; what is there comes from `checkpoint.cached_models`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import typer

from llmcli.cli.options import COMMAND, Debug, Json, Quiet
from llmcli.cli.output import Output
from llmcli.cli.table import JSON, FittedTable, Row, cell, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from llmcli.checkpoint.cached_models import CachedModel

COLUMNS: Row = ("model", "revision", "size", "family", "parameters", "folder")
NUMBERS = (2, 4)
WITHOUT_FOLDER = 5
NARROWEST = (0, 2, 4)
UNKNOWN = "unknown"
COMMIT_SHOWN = 12


@dataclass(frozen=True)
class ModelsReport:
    """Every model on this disk; `cache` is the folder of the hub's cache."""

    schema: ClassVar[str] = "models/1"
    cache: str
    total_bytes: int
    models: "tuple[CachedModel, ...]"


def register(app: typer.Typer) -> None:
    app.command("models", **COMMAND)(models)


def models(json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """List the models on this disk: the bundled demo, and all in the hub's cache.

    Sizes, families and parameters are read from the files' headers; a model that is damaged or
    incomplete is listed with what is wrong with it.

    Examples:

    - `llmcli models`
    - `llmcli models --json`
    """
    from llmcli.checkpoint.cached_models import cached_models
    from llmcli.checkpoint.hub_cache import cache_folder

    found = tuple(cached_models())
    report = ModelsReport(
        cache=str(cache_folder()),
        total_bytes=sum(model.size_bytes for model in found),
        models=found,
    )
    Output(json=json, quiet=quiet).emit(report, _table)


def _table(report: ModelsReport) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    rows = [COLUMNS, *(_row(model) for model in report.models)]
    tables = (
        rows,
        [row[:WITHOUT_FOLDER] for row in rows],
        [tuple(row[column] for column in NARROWEST) for row in rows],
    )
    problems = [
        Text(cell(f"{model.name}: {model.problem}"))
        for model in report.models
        if model.problem is not None
    ]
    return Group(FittedTable(tables, right=NUMBERS, all_in=JSON), *problems)


def _row(model: "CachedModel") -> Row:
    revision = model.revision[:COMMIT_SHOWN] if model.revision == model.commit else model.revision
    parameters = UNKNOWN if model.parameters is None else f"{model.parameters:,}"
    family = UNKNOWN if model.family is None else cell(model.family)
    return (
        cell(model.name),
        cell(revision),
        size(model.size_bytes),
        family,
        parameters,
        cell(model.folder),
    )
