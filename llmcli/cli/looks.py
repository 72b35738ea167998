"""How answers are to look: the options, and what they come to on the streams at hand.

It knows streams and colours, and nothing of tokens.
"""

import os
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from llmcli.cli.output import Output
from llmcli.errors import UsageError

ColorBy = Literal["none", "probability", "entropy"]


def _option(*names: str, help: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel="Looks of an answer", **settings)


@dataclass(frozen=True)
class LookFlags:
    """The options as given; None where they were not."""

    markdown: Annotated[
        bool | None,
        _option(
            "--markdown/--no-markdown",
            show_default="on a terminal",
            help="Headings, lists, code, tables and emphasis as such, or the text as it is.",
        ),
    ] = None
    think: Annotated[
        bool | None,
        _option(
            "--think/--no-think",
            show_default="as the model has it",
            help="Let the model think before it answers, where its chat template can say so.",
        ),
    ] = None
    hide_thinking: Annotated[
        bool,
        _option("--hide-thinking", help="One line about the thinking in place of its text."),
    ] = False
    color_by: Annotated[
        ColorBy,
        _option("--color-by", help="Colour each token by how sure the model was of it."),
    ] = "none"


@dataclass(frozen=True)
class Looks:
    """As it is decided. The default is the text as it comes, byte for byte."""

    markdown: bool = False
    hide_thinking: bool = False
    color_by: ColorBy = "none"

    @classmethod
    def of(cls, flags: LookFlags, output: Output) -> "Looks":
        """Raises UsageError for what cannot be had together."""
        coloured = flags.color_by != "none"
        if coloured and flags.markdown:
            raise UsageError(
                "--markdown and --color-by exclude each other",
                hint="tokens are coloured in the text as it is",
            )
        able = output.interactive and os.environ.get("TERM") != "dumb"
        coloured = coloured and has_colour(output)
        markdown = (able if flags.markdown is None else flags.markdown) and not coloured
        return cls(markdown and not output.json, flags.hide_thinking, flags.color_by)


PLAIN = Looks()


@dataclass(frozen=True)
class Band:
    """Tokens from `least` on, in one style; `label` says so."""

    least: float
    style: str
    label: str


# Of the 256 colours, mid tones that can be read on white and on black.
_SURE, _FAIRLY, _HARDLY, _NOT = "", "color(28)", "color(136)", "color(160)"
BANDS = {
    "probability": (
        Band(0.9, _SURE, "90% and more"),
        Band(0.5, _FAIRLY, "50 to 90%"),
        Band(0.1, _HARDLY, "10 to 50%"),
        Band(0.0, _NOT, "under 10%"),
    ),
    "entropy": (
        Band(4.0, _NOT, "4 bits and more"),
        Band(2.0, _HARDLY, "2 to 4"),
        Band(0.5, _FAIRLY, "0.5 to 2"),
        Band(0.0, _SURE, "under 0.5"),
    ),
}


def band_style(by: ColorBy, value: float) -> str:
    """The style of a token whose probability (0..1) or entropy (bits) is `value`."""
    return next((band.style for band in BANDS[by] if value >= band.least), "")


def show_legend(looks: Looks, output: Output) -> None:
    """One line on stderr that says what the colours mean, where there are any."""
    if looks.color_by == "none" or output.json or output.quiet:
        return
    from rich.text import Text

    if not has_colour(output):
        output.notice("there is no colour on stdout: --color-by changes nothing")
        return
    parts = [Text(band.label, band.style) for band in BANDS[looks.color_by]]
    output.console(stderr=True).print(Text(f"{looks.color_by}: ") + Text(" · ").join(parts))


def has_colour(output: Output) -> bool:
    console = output.console()
    return console.color_system is not None and not console.no_color
