"""The options of a chat that is kept, and taken up again. It knows spellings, not meanings."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer


def _option(*names: str, **settings: Any) -> Any:
    return typer.Option(
        *names, show_default=False, rich_help_panel="Sessions: chats that are kept", **settings
    )


@dataclass(frozen=True)
class SessionFlags:
    """The options as given."""

    continue_last: Annotated[
        bool,
        _option("--continue", envvar="LLMCLI_CONTINUE", help="Go on with the last session."),
    ] = False
    resume: Annotated[
        str | None,
        _option("--resume", metavar="NAME", help="Go on with this one; llmcli sessions lists all."),
    ] = None
    save_kv: Annotated[
        bool,
        _option(
            "--save-kv",
            help="Keep the KV cache as well: a session goes on without computing it anew.",
        ),
    ] = False
