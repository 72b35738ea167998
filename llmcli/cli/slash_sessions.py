"""Slash commands that keep a chat, and bring another back.

It knows their looks; `session_keeper` does the work.
"""

from llmcli.cli.sessions import report_of, table_of
from llmcli.cli.slash_command import Command, say
from llmcli.cli.turns import Turns
from llmcli.errors import UsageError


def _save(turns: Turns, rest: str) -> bool:
    name = turns.keeper.save_as(rest or None, turns.conversation, turns.settings)
    say(turns, f"kept as {name}: {turns.keeper.store.path(name)}")
    return True


def _load(turns: Turns, rest: str) -> bool:
    if rest:
        turns.load(rest)
        return True
    report = report_of(turns.keeper.store)
    if not report.sessions:
        raise UsageError("there is no session yet")
    turns.output.console(stderr=True).print(table_of(report))
    return True


COMMANDS = {
    "save": Command("save [NAME]", "keep this chat under a name; it is kept in any case", _save),
    "load": Command("load [NAME]", "go on with a session; without a name, list them", _load),
}
