"""Slash commands for what goes into a conversation and what comes out of it: texts and files.

They know files, the clipboard and the typed line, and nothing of tokens.
"""

import base64
import os
from pathlib import Path

from llmcli.cli.context_text import tokens
from llmcli.cli.output import safe
from llmcli.cli.slash_command import Command, say
from llmcli.cli.turns import Turns
from llmcli.errors import LlmcliError, UsageError

MOST_READ_BYTES = 1024 * 1024
MOST_COPIED_BYTES = 74_000  # of base64 xterm takes 100,000 characters
NEXT_MESSAGE = "‹your next message›"


def _edit(turns: Turns, rest: str) -> bool:
    question = turns.question
    if question is None:
        raise UsageError("there is no question yet")
    if not rest:
        if turns.reader is None or not turns.reader.can_prefill:
            raise UsageError("the question cannot be edited here", hint="/edit TEXT replaces it")
        rest = turns.reader.read(question) or question
        if rest == question:
            say(turns, "unchanged; /regen answers it anew")
            return True
    turns.retake(rest)
    return True


def _read(turns: Turns, rest: str) -> bool:
    from llmcli.checkpoint.json_file import read_optional_text

    if not rest:
        count, turns.attached = len(turns.attached), []
        say(turns, "nothing was waiting" if not count else "what was read is forgotten")
        return True
    file = _path(rest)
    try:
        text = read_optional_text(file, limit_bytes=MOST_READ_BYTES)
    except LlmcliError as error:
        raise UsageError(str(error)) from None
    if text is None:
        raise UsageError(f"{file}: there is no such file")
    if "\0" in text:
        raise UsageError(f"{file}: not a text file")
    model = turns.conversation.model
    count = len(model.tokenizer.encode(text))
    if count >= model.context:
        raise UsageError(f"{file}: {count:,} tokens, and the context holds {model.context:,}")
    turns.attached.append(text.strip("\n"))
    say(turns, f"{file}, {tokens(count)}, goes before your next message; /read alone forgets it")
    return True


def _copy(turns: Turns, rest: str) -> bool:
    messages, output = turns.conversation.messages, turns.output
    if not messages or messages[-1]["role"] != "assistant":
        raise UsageError("there is no answer yet")
    screen = next((stream for stream in (output.stdout, output.stderr) if stream.isatty()), None)
    if screen is None or os.environ.get("TERM") in (None, "", "dumb"):
        raise UsageError("there is no terminal with a clipboard here: try /export FILE")
    text = messages[-1]["content"].encode("utf-8", "replace")
    if len(text) > MOST_COPIED_BYTES:
        raise UsageError("the answer is too long for a terminal's clipboard: try /export FILE")
    screen.write(f"\x1b]52;c;{base64.b64encode(text).decode('ascii')}\x07")
    screen.flush()
    say(turns, "sent to the terminal's clipboard (OSC 52, which some terminals switch off)")
    return True


def _export(turns: Turns, rest: str) -> bool:
    from llmcli.cli.exported import as_json, as_markdown

    if not rest:
        raise UsageError("/export needs a file: name.md or name.json")
    file, conversation = _path(rest), turns.conversation
    writers = {".md": as_markdown, ".markdown": as_markdown, ".json": as_json}
    if file.suffix.lower() not in writers:
        raise UsageError(f"{file}: the name must end in .md or .json")
    if not any(message["role"] != "system" for message in conversation.messages):
        raise UsageError("there is nothing to export yet")
    text = writers[file.suffix.lower()](conversation.model.name, conversation.messages)
    is_new = False
    try:
        with file.open("x", encoding="utf-8", errors="replace") as opened:
            is_new = True
            opened.write(text)
    except FileExistsError:
        raise UsageError(f"{file}: exists already", hint="choose another name") from None
    except OSError as error:
        if is_new:  # half a file would stand in the way of the next try
            file.unlink()
        raise UsageError(f"{file}: {error.strerror}") from None
    say(turns, f"{file}: {len(conversation.messages):,} messages")
    return True


def _prompt(turns: Turns, rest: str) -> bool:
    from rich.text import Text

    conversation = turns.conversation
    ids = conversation.next_prompt(turns.with_attached(rest or NEXT_MESSAGE))
    shown = Text()
    part = b""
    for piece in conversation.model.tokenizer.describe(ids):
        if piece.special:
            shown.append(safe(part.decode("utf-8", "replace")))
            shown.append(safe(piece.label), "reverse")
            part = b""
        else:
            part += piece.raw
    shown.append(safe(part.decode("utf-8", "replace")))
    turns.output.console(stderr=True).print(shown, soft_wrap=True)
    say(turns, f"{tokens(len(ids))}; the context holds {conversation.model.context:,}")
    return True


def _path(text: str) -> Path:
    """A file as typed: with quotes around it or not."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of a user who is not there
        return Path(text)


COMMANDS = {
    "edit": Command("edit [TEXT]", "change the last question, and ask it anew", _edit),
    "read": Command("read FILE", "put a text file before your next message", _read),
    "copy": Command("copy", "copy the last answer to the terminal's clipboard", _copy),
    "export": Command("export FILE", "write the conversation to FILE.md or FILE.json", _export),
    "prompt": Command(
        "prompt [TEXT]", "the next prompt, exactly as the model will get it", _prompt
    ),
}
