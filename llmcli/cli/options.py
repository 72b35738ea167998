"""Options that several commands share, each declared once. It knows spellings, not meanings.

Every option can also be set by the variable `LLMCLI_` + its name (`COMMAND` below sees to that).
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from llmcli.checkpoint.quantization import Quant
from llmcli.cli.conversion import converted_where_needed
from llmcli.cli.groups import FLAG, VARIABLE, source_of
from llmcli.errors import UsageError

MOST_THREADS = 1024  # far more than help; some thread libraries crash on absurd numbers


class Command(TyperCommand):
    """A command whose help tells of the variables once, not at every option; and whose errors name
    the file that a wrong value stands in."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            if isinstance(parameter, TyperOption):
                parameter.show_envvar = False

    def get_params(self, ctx: Any) -> list[Any]:
        return converted_where_needed(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            source = source_of(ctx, error.param.name) if error.param is not None else None
            if source in (None, FLAG, VARIABLE):
                raise
            raise UsageError(f"{source}: {error.format_message()}") from None


# Passed to every `app.command(**COMMAND)`.
COMMAND: dict[str, Any] = {
    "cls": Command,
    "context_settings": {"auto_envvar_prefix": "LLMCLI"},
    "epilog": "Every option can be set by a variable: --ctx-size by LLMCLI_CTX_SIZE.",
}

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        envvar="LLMCLI_MODEL",
        show_envvar=False,
        show_default=False,
        help="demo, a folder, or org/name[@revision] on the hub. "
        "Left out: $LLMCLI_MODEL, else SmolLM2-135M-Instruct, else demo.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notices or progress on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
Revision = Annotated[
    str | None,
    typer.Option("--revision", metavar="REV", help="Branch, tag or commit on the hub."),
]
Device = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda[:N]", help="Where to compute.")
]
Dtype = Annotated[
    str,
    typer.Option(
        "--dtype",
        metavar="auto|fp32|bf16|fp16",
        help="auto: the checkpoint's own where the device is fast in it, else fp32.",
    ),
]
QuantOption = Annotated[
    Quant,
    typer.Option(
        "--quant",
        "--quantize",
        help="Round the weights while loading: to 8 bits by rows, or to 4 bits in groups of 32.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=MOST_THREADS,
        show_default="all cores, 1 for a small model",
        help="CPU threads.",
    ),
]
ContextSize = Annotated[
    int | None,
    typer.Option(
        "--ctx-size",
        "-c",
        metavar="N",
        min=1,
        show_default="the model's own",
        help="Tokens of context at most.",
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Compute the whole text anew for every token.")
]
ShowTimings = Annotated[
    bool | None,
    typer.Option(
        "--show-timings/--no-show-timings",
        show_default="on a terminal",
        help="One line of figures after each answer.",
    ),
]
ChatTemplateFile = Annotated[
    Path | None,
    typer.Option(
        "--chat-template-file",
        metavar="FILE",
        show_default=False,
        help="A Jinja chat template to use instead of the model's own.",
    ),
]
