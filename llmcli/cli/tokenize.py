"""`llmcli tokenize`: a text as the model gets it, token by token.

It knows the options and the looks; what is shown comes from `views.tokens`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmcli.cli.config_file import default_model
from llmcli.cli.find_model import find_model
from llmcli.cli.given_text import piped_text
from llmcli.cli.options import COMMAND, Debug, Json, Offline, Quiet, Revision
from llmcli.cli.output import Output
from llmcli.cli.table import JSON, FittedTable, Row, cell
from llmcli.errors import InvalidModelError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from llmcli.views.tokens import Token, Tokenization

COLUMNS: Row = ("#", "id", "token", "piece", "bytes", "characters", "special")
NUMBERS = (0, 1)

# Not called MODEL and TEXT: a single word is the text, so neither has a variable of its own.
First = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        show_default=False,
        help="demo, a folder, or org/name[@revision] on the hub. "
        "Left out: $LLMCLI_MODEL, else SmolLM2-135M-Instruct, else demo.",
    ),
]
Second = Annotated[
    str | None,
    typer.Argument(
        metavar="TEXT|-", show_default=False, help="The text; - or nothing reads it from stdin."
    ),
]
Count = Annotated[bool, typer.Option("--count", help="Print only the number of tokens.")]
Chat = Annotated[
    bool,
    typer.Option("--chat", help="Take TEXT as a user's message; show the whole rendered prompt."),
]


def register(app: typer.Typer) -> None:
    app.command("tokenize", **COMMAND)(tokenize)


def tokenize(
    context: typer.Context,
    first: First = None,
    second: Second = None,
    count: Count = False,
    chat: Chat = False,
    revision: Revision = None,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show a text as the model gets it: ids, pieces, bytes and places, token by token.

    A space is shown as ␣ and a line break as ↵. Special tokens that the text spells out, like
    `<|im_end|>`, are plain text, as they are everywhere in llmcli.

    Examples:

    - `llmcli tokenize "Hello world"`
    - `llmcli tokenize demo "Hello world" --chat`
    - `llmcli tokenize demo --count - < README.md`
    """
    from llmcli.checkpoint.template import ChatTemplate
    from llmcli.checkpoint.tokenizer import Tokenizer
    from llmcli.views import tokens

    output = Output(json=json, quiet=quiet)
    model, text = _model_and_text(first, second, output)
    source = find_model(model or default_model(context), output, revision=revision, offline=offline)
    tokenizer = Tokenizer.load(source.folder)
    if chat:
        template = ChatTemplate.load(source.folder, tokenizer)
        if template is None:
            raise InvalidModelError(
                f"{source.name}: the model has no chat template",
                hint="leave out --chat to see the text's own tokens",
            )
        report = tokens.run_chat(source.name, tokenizer, template, text)
    else:
        report = tokens.run(source.name, tokenizer, text)
    if count and not json:
        output.line(str(report.count))
    else:
        output.emit(report, _table)


def _model_and_text(
    first: str | None, second: str | None, output: Output
) -> tuple[str | None, str]:
    model, text = (None, first) if second is None else (first, second)
    if text is None or text == "-":
        return model, _stdin()
    if model is None and (text == "demo" or _is_folder(text)):
        output.notice(f"{text!r} is taken as the text: a model would come before it")
    return model, text


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except (OSError, ValueError):  # too long for a path, or with a NUL in it
        return False


def _stdin() -> str:
    text = piped_text(waiting=True)
    if text is None:
        raise UsageError("no text", hint='llmcli tokenize "Hello world"')
    return text


def _table(report: "Tokenization") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    rows = [COLUMNS, *(_row(token) for token in report.tokens)]
    # On a narrow terminal the vocabulary's spelling goes first, then the bytes.
    narrower = [(*row[:3], *row[4:]) for row in rows], [(*row[:3], *row[5:]) for row in rows]
    table = FittedTable([rows, *narrower], right=NUMBERS, all_in=JSON)
    if not report.rendered:
        return table
    lines = [cell(line) for line in report.text.split("\n")]
    return Group(Text("\n".join(lines)), "", table)


def _row(token: "Token") -> Row:
    place = "" if token.start is None else f"{token.start}-{token.end}"
    return (
        str(token.index),
        str(token.id),
        cell(token.label),
        cell(token.piece),
        " ".join(f"{byte:02x}" for byte in token.bytes),
        place if token.start != token.end else "",
        "special" if token.special else "",
    )
