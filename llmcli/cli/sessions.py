"""`llmcli sessions`: the chats that are kept on this disk, and an end to some of them.

It knows the looks; the files are `engine.session_store`'s.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from llmcli.cli.options import COMMAND, Debug, Json, Quiet
from llmcli.cli.output import Output
from llmcli.cli.table import FittedTable, Row, cell
from llmcli.cli.user_folders import sessions_folder
from llmcli.engine.saved_session import SavedSession
from llmcli.engine.session_store import SessionStore
from llmcli.errors import LlmcliError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS: Row = ("session", "last written", "model", "turns", "first question")
NUMBERS = (3,)
WIDTHS = (100, 70, 50, 35, 20)  # of the last column, where not all of it fits
NARROW = (0, 1, 3)

Names = Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False)]


@dataclass(frozen=True)
class SessionEntry:
    """One session; `damage` says what is wrong with its file, `model` is null where that is not
    known. Times are ISO 8601."""

    name: str
    created: str | None
    written: str
    model: str | None
    turns: int
    first_question: str | None
    file: str
    file_bytes: int
    kv_bytes: int | None
    damage: str | None


@dataclass(frozen=True)
class SessionsReport:
    """Every session in `folder`, the one that was written last first."""

    schema: ClassVar[str] = "sessions/1"
    folder: str
    sessions: tuple[SessionEntry, ...]


sessions_app = typer.Typer(rich_markup_mode="markdown")


def register(app: typer.Typer) -> None:
    app.add_typer(sessions_app, name="sessions")


@sessions_app.callback(invoke_without_command=True, context_settings=COMMAND["context_settings"])
def sessions(
    context: typer.Context, json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """List the chats that are kept on this disk, the last one first.

    `llmcli chat --resume NAME` goes on with one of them, `llmcli sessions rm NAME` removes it.

    Examples:

    - `llmcli sessions`
    - `llmcli sessions --json`
    - `llmcli sessions rm work`
    """
    if context.invoked_subcommand is None:
        Output(json=json, quiet=quiet).emit(report_of(_store()), table_of)


def remove(names: Names, quiet: Quiet = False, debug: Debug = False) -> None:
    """Remove sessions, and the KV caches kept with them.

    Example: `llmcli sessions rm work`
    """
    store, output = _store(), Output(quiet=quiet)
    for name in names:
        store.remove(name)
        output.notice(f"removed: {name}")


sessions_app.command("rm", **COMMAND)(remove)


def report_of(store: SessionStore) -> SessionsReport:
    found = (_entry(store, name) for name in store.names())
    return SessionsReport(str(store.folder), tuple(filter(None, found)))


def _store() -> SessionStore:
    try:
        return SessionStore(sessions_folder())
    except OSError as error:
        raise LlmcliError(f"there can be no sessions: {error}") from None


def _entry(store: SessionStore, name: str) -> SessionEntry | None:
    """None where it is gone meanwhile."""
    path = store.path(name)
    session, damage = SavedSession(), None
    try:
        status = path.stat()
        reading = store.read(name)
        session, damage = reading.session, reading.damage
    except (FileNotFoundError, UsageError):
        return None
    except (LlmcliError, OSError) as error:
        damage = str(error)
    kv_bytes = None
    with suppress(OSError):
        kv_bytes = store.cache_path(name).stat().st_size
    written = datetime.fromtimestamp(status.st_mtime).astimezone()
    return SessionEntry(
        name=name,
        created=session.created,
        written=written.isoformat(timespec="seconds"),
        model=session.model,
        turns=len(session.questions),
        first_question=session.questions[0] if session.questions else None,
        file=str(path),
        file_bytes=status.st_size,
        kv_bytes=kv_bytes,
        damage=damage,
    )


def table_of(report: SessionsReport) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    if not report.sessions:
        return Text("no sessions yet: `llmcli chat` keeps each chat as it goes")
    full = [COLUMNS, *map(_row, report.sessions)]
    cut = [[(*row[:-1], _short(row[-1], width)) for row in full] for width in WIDTHS]
    narrow = [tuple(row[column] for column in NARROW) for row in full]
    damaged = (each for each in report.sessions if each.damage is not None)
    return Group(
        FittedTable(
            [full, *cut, [row[:-1] for row in full], narrow],
            right=NUMBERS,
            all_in="a wider terminal",
        ),
        *(Text(cell(f"{each.name}: {each.damage}")) for each in damaged),
    )


def _row(entry: SessionEntry) -> Row:
    return (
        cell(entry.name),
        entry.written[:16].replace("T", " "),
        cell(entry.model or "unknown"),
        f"{entry.turns}",
        cell(" ".join((entry.first_question or "").split())),
    )


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
