"""The sampling options of the command line.

It knows their spellings and ranges, and nothing of what they do.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import typer


def _option(*names: str, help: str, metavar: str = "N", **range_: float) -> Any:
    return typer.Option(
        *names,
        help=help,
        metavar=metavar,
        show_default=False,
        rich_help_panel="Sampling, where the model should not decide by itself",
        **range_,  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class SamplingFlags:
    """The options as given; None where they were not."""

    temperature: Annotated[
        float | None,
        _option("--temperature", "--temp", metavar="X", min=0, help="0: always the likeliest."),
    ] = None
    top_k: Annotated[
        int | None, _option("--top-k", min=0, help="Only the N likeliest tokens; 0: all.")
    ] = None
    top_p: Annotated[
        float | None,
        _option(
            "--top-p", metavar="X", min=0, max=1, help="The fewest tokens that X is the chance of."
        ),
    ] = None
    min_p: Annotated[
        float | None,
        _option(
            "--min-p", metavar="X", min=0, max=1, help="Tokens with X times the best's chance."
        ),
    ] = None
    repetition_penalty: Annotated[
        float | None,
        _option(
            "--repetition-penalty",
            "--repeat-penalty",
            metavar="X",
            min=0,
            help="Above 1: tokens of prompt and answer become less likely.",
        ),
    ] = None
    repeat_last_n: Annotated[
        int | None,
        _option("--repeat-last-n", min=-1, help="How far back that looks; -1: everything."),
    ] = None
    frequency_penalty: Annotated[
        float | None,
        _option("--frequency-penalty", metavar="X", help="Subtracted per use in the answer."),
    ] = None
    presence_penalty: Annotated[
        float | None,
        _option("--presence-penalty", metavar="X", help="Subtracted once used in the answer."),
    ] = None
    logit_bias: Annotated[
        list[str] | None,
        _option(
            "--logit-bias",
            metavar="TOKEN=BIAS",
            help="Added to a token's logit (id or text; repeatable): -100 never, 100 nearly sure.",
        ),
    ] = None
    stop: Annotated[
        list[str] | None,
        _option("--stop", metavar="TEXT", help="End before this text (repeatable)."),
    ] = None
    seed: Annotated[
        int | None,
        _option("--seed", min=0, help="The same seed gives the same text."),
    ] = None
    max_tokens: Annotated[
        int | None,
        _option(
            "--max-tokens",
            "-n",
            "--max-new-tokens",
            "--n-predict",
            min=1,
            help="End after N tokens; else at the context's end at the latest.",
        ),
    ] = None
