"""The slash command that says what answers must look like.

It knows its spelling; what a schema may say is `engine.grammar`'s.
"""

from llmcli.cli.answer_options import text_or_file
from llmcli.cli.slash_command import Command, say
from llmcli.cli.turns import Turns

ANY_OBJECT = '{"type": "object"}'


def _json(turns: Turns, rest: str) -> bool:
    from llmcli.engine.grammar import Grammar

    if rest == "off":
        turns.settings.hold_to(None, "/json")
        say(turns, "answers are free again")
        return True
    grammar = Grammar.read("json_schema", text_or_file(rest or ANY_OBJECT))
    turns.settings.hold_to(grammar, "/json")
    what = "JSON that fits the schema" if rest else "JSON objects"
    say(turns, f"from now on answers are {what}; /json off ends that")
    for warning in grammar.warnings:
        say(turns, f"warning: {warning}")
    return True


COMMANDS = {
    "json": Command("json [SCHEMA|@FILE|off]", "make answers JSON: any object, or a schema", _json)
}
