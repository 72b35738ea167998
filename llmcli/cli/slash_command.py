"""What a slash command is, and how its reply is shown: never on stdout, which carries the answers.

It knows none of the commands; `slash` lists them all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmcli.cli.output import safe
from llmcli.cli.table import FittedTable, Row
from llmcli.cli.turns import Turns


@dataclass(frozen=True)
class Command:
    """`run` takes the chat and what follows the name; it returns whether the chat goes on."""

    usage: str
    help: str
    run: Callable[[Turns, str], bool]

    @property
    def takes_text(self) -> bool:
        """Whether anything may follow the name."""
        return " " in self.usage.split(",")[0]  # other names follow a comma


def show(turns: Turns, rows: Sequence[Row], *, right: Sequence[int] = ()) -> None:
    """A table; `right` as in `FittedTable`."""
    turns.output.console(stderr=True).print(FittedTable([rows], right=right))


def say(turns: Turns, text: str) -> None:
    """What the user asked for, and gets also with --quiet."""
    turns.output.console(stderr=True).print(safe(text))
