"""Slash commands for the context and the model that reads it.

They know the looks; what is shown comes from the conversation.
"""

from llmcli.cli.context_text import budget_rows, ledger_rows
from llmcli.cli.slash_command import Command, show
from llmcli.cli.timings_text import timings_rows
from llmcli.cli.turns import Turns
from llmcli.errors import UsageError


def _stats(turns: Turns, rest: str) -> bool:
    conversation, timings = turns.conversation, turns.timings
    if timings is None or conversation.turn is None:
        raise UsageError("there is no answer yet")
    budget, ledger = conversation.budget(conversation.turn), conversation.turn.ledger
    rows = [
        *timings_rows(timings, turns.context_used(), conversation.model.context),
        *budget_rows(budget, conversation.left_out),
        *ledger_rows(ledger),
    ]
    show(turns, rows)
    return True


def _model(turns: Turns, rest: str) -> bool:
    if not rest:
        raise UsageError("/model needs a name: demo, a folder, or org/name")
    turns.take_model(rest)
    return True


COMMANDS = {
    "stats": Command("stats", "what the last answer took, and how full the context is", _stats),
    "model": Command("model NAME", "go on with another model; the messages stay", _model),
}
