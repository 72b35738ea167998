"""Slash commands: what a line that starts with `/` does in a chat.

It knows the commands and their looks; turns and settings are changed through `Turns`.
"""

from llmcli.cli import (
    slash_answer,
    slash_context,
    slash_grammar,
    slash_sessions,
    slash_text,
    slash_thinking,
)
from llmcli.cli.sampling_settings import Setting, nearest, setting_name
from llmcli.cli.slash_command import Command, say, show
from llmcli.cli.table import cell
from llmcli.cli.turns import Turns
from llmcli.errors import UsageError

MOST_SHOWN = 400  # characters of a question, which may hold a file


def is_command(text: str) -> bool:
    """Whether a message is a slash command: `//` begins a text with a slash."""
    return text.startswith("/") and not text.startswith("//")


def answer(turns: Turns, text: str) -> bool:
    """Do what a typed line says: a slash command, or a question. Returns whether the chat goes on.

    `//` sends a text that begins with a slash. Raises UsageError for what cannot be done.
    """
    if not is_command(text):
        turns.take(text.removeprefix("/"))
        return True
    name, rest = [*text[1:].split(maxsplit=1), "", ""][:2]
    command = COMMANDS.get(ALIASES.get(name, name))
    if command is None:
        names = [f"/{name}" for name in (*COMMANDS, *ALIASES)]
        raise UsageError(
            f"there is no command /{name}{nearest(f'/{name}', names)}",
            hint="/help lists them; //TEXT sends a text that begins with a slash",
        )
    if rest and not command.takes_text:
        raise UsageError(f"/{name} takes nothing after it")
    return command.run(turns, rest)


def _help(turns: Turns, rest: str) -> bool:
    rows = [("command", "what it does"), *((f"/{c.usage}", c.help) for c in COMMANDS.values())]
    show(turns, rows)
    say(turns, KEYS)
    return True


def _exit(turns: Turns, rest: str) -> bool:
    return False


def _clear(turns: Turns, rest: str) -> bool:
    turns.clear()
    kept = "; the system prompt stays" if turns.conversation.system else ""
    say(turns, f"the conversation is empty{kept}")
    return True


def _system(turns: Turns, rest: str) -> bool:
    conversation = turns.conversation
    if rest:
        conversation.system = None if rest == '""' else turns.profile.system_prompt(rest)
        say(turns, "from the next turn on" if conversation.system else "no system prompt")
    else:
        say(turns, conversation.system or "no system prompt")
    return True


def _set(turns: Turns, rest: str) -> bool:
    typed, _, value = rest.partition(" ")
    settings, table = turns.settings, turns.settings.table()
    if not rest:
        form = settings.form
        rows = [("setting", "value", "from")]
        rows += [(name, *_shown(turns, setting)) for name, setting in table.items()]
        rows += [] if form is None else [(form.value.kind, cell(form.value.text), form.source)]
        show(turns, rows)
        return True
    name = setting_name(typed)
    if value:
        settings.set(name, value)
    say(turns, "{} {} ({})".format(name, *_shown(turns, settings.table()[name])))
    return True


def _regen(turns: Turns, rest: str) -> bool:
    turns.retake()
    return True


def _undo(turns: Turns, rest: str) -> bool:
    question = turns.undo()
    shown = question if len(question) <= MOST_SHOWN else f"{question[: MOST_SHOWN - 1]}…"
    say(turns, f"taken back: {shown}")
    return True


COMMANDS = {
    "help": Command("help", "this list", _help),
    "exit": Command("exit, /bye, /quit", "leave; so does Ctrl+D", _exit),
    "clear": Command("clear", "forget all turns; the system prompt stays", _clear),
    "system": Command(
        "system [TEXT|@NAME]", 'show or replace the system prompt; "" removes it', _system
    ),
    "set": Command(
        "set [NAME [VALUE]]",
        "list settings; show or set one (default: not chosen)",
        _set,
    ),
    "regen": Command("regen", "answer the last question anew", _regen),
    "undo": Command("undo", "take back the last question and its answer", _undo),
    **slash_text.COMMANDS,
    **slash_answer.COMMANDS,
    **slash_context.COMMANDS,
    **slash_sessions.COMMANDS,
    **slash_thinking.COMMANDS,
    **slash_grammar.COMMANDS,
}
ALIASES = {"bye": "exit", "quit": "exit"}
KEYS = (
    "//TEXT sends a text that begins with a slash. Alt+Enter or Ctrl+J begins a new line, "
    '""" opens and closes a block of lines. Ctrl+C stops an answer and keeps what was said.'
)


def _shown(turns: Turns, setting: Setting) -> tuple[str, str]:
    """A setting's value and source."""
    value, label = setting.value, turns.conversation.model.tokenizer.label
    if value is None or value == () or value == {}:
        shown = "none"
    elif isinstance(value, dict):
        shown = " ".join(f"{label(token)}={bias:g}" for token, bias in value.items())
    else:
        shown = " ".join(map(repr, value)) if isinstance(value, tuple) else f"{value}"
    return cell(shown), cell(setting.source)
