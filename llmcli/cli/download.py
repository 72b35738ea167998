"""`llmcli download`: the files of a model from the hub, with progress, checked.

It knows the options and the looks; what is fetched and how it is checked is `checkpoint.hub`'s.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from llmcli.cli.find_model import download_progress
from llmcli.cli.options import COMMAND, Debug, Json, Quiet, Revision
from llmcli.cli.output import Output
from llmcli.errors import ModelNotFoundError, UsageError
from llmcli.reports import to_json

HubModel = Annotated[str, typer.Argument(metavar="MODEL", help="org/name[@revision] on the hub.")]
LocalDir = Annotated[
    Path | None,
    typer.Option(
        "--local-dir",
        metavar="DIR",
        show_default=False,
        help="Put the files there, not in the hub's cache.",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="GLOB",
        show_default=False,
        help="Only files whose name matches, like '*.json'; repeatable. "
        "Left out: what is needed to run the model.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="GLOB", show_default=False, help="No such files; repeatable."
    ),
]


@dataclass(frozen=True)
class DownloadedFile:
    name: str
    bytes: int


@dataclass(frozen=True)
class DownloadReport:
    """What is on the disk now; `bytes` is the sum over `files`."""

    schema: ClassVar[str] = "download/1"
    model: str
    revision: str
    commit: str
    folder: str
    files: tuple[DownloadedFile, ...]
    bytes: int


def register(app: typer.Typer) -> None:
    app.command("download", **COMMAND)(download)


def download(
    model: HubModel,
    revision: Revision = None,
    local_dir: LocalDir = None,
    include: Include = None,
    exclude: Exclude = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Download a model from the hub, or bring it up to date, and print its folder.

    Weights in safetensors format, config and tokenizer are fetched, code and pickles never. Sizes
    and SHA-256 sums are checked, also of files that are there already. A second run fetches only
    what is missing or damaged.

    Examples:

    - `llmcli download HuggingFaceTB/SmolLM2-135M-Instruct`
    - `llmcli download org/name@v1.0 --local-dir ./name`
    - `llmcli download org/name --include '*.json'`
    """
    from llmcli.checkpoint import hub
    from llmcli.checkpoint.store import DEMO, parse_hub_name

    try:
        repo, revision = parse_hub_name(model, revision)
    except ModelNotFoundError:
        if model == DEMO or Path(model).expanduser().exists():
            message = f"{model} is on this disk: there is nothing to download"
            raise UsageError(message, hint="MODEL is org/name[@revision] on the hub") from None
        raise
    output = Output(json=json, quiet=quiet)
    with download_progress(output) as progress:
        done = hub.download(
            hub.list_files(repo, revision),
            local_dir=None if local_dir is None else local_dir.expanduser().absolute(),
            include=include or (),
            exclude=exclude or (),
            progress=progress,
        )
    report = DownloadReport(
        model=repo,
        revision=revision,
        commit=done.commit,
        folder=str(done.folder),
        files=tuple(DownloadedFile(file.name, file.size) for file in done.files),
        bytes=sum(file.size for file in done.files),
    )
    output.line(to_json(report) if json else report.folder)
