"""/think and /nothink: whether the model is to think before it answers.

It knows the switch that a chat template may have for that, and nothing of how thinking looks.
"""

from typing import TYPE_CHECKING

from llmcli.cli.slash_command import Command, say
from llmcli.cli.turns import Turns

if TYPE_CHECKING:
    from llmcli.checkpoint.template import ChatTemplate


def no_switch(template: "ChatTemplate | None") -> str | None:
    """Why the model cannot be told to think or not; None where it can."""
    if template is not None and template.thinking_switch is not None:
        return None
    return (
        "the chat template has no switch for thinking (enable_thinking): the model does as it "
        "was trained to"
    )


def _think(turns: Turns, rest: str) -> bool:
    return _switch(turns, True, "from the next turn on the model thinks before it answers")


def _no_think(turns: Turns, rest: str) -> bool:
    return _switch(turns, False, "from the next turn on the model answers at once")


def _switch(turns: Turns, think: bool, done: str) -> bool:
    template = turns.conversation.model.template
    refusal = no_switch(template)
    if template is not None and refusal is None:
        template.think = think
    say(turns, refusal or done)
    return True


COMMANDS = {
    "think": Command("think", "let the model think before it answers", _think),
    "nothink": Command("nothink", "let it answer at once", _no_think),
}
