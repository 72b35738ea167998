"""The options of a chat that say what happens when its context is full."""

from dataclasses import dataclass
from typing import Annotated

import typer

from llmcli.engine.overflow import Overflow


@dataclass(frozen=True)
class ContextFlags:
    """The options as given."""

    on_overflow: Annotated[
        Overflow,
        typer.Option(
            "--on-overflow",
            metavar="stop|drop-oldest|shift",
            help="When the context is full: stop with an error; forget the oldest turns before an "
            "answer; or also while one is made.",
        ),
    ] = "drop-oldest"
