"""What a person sees of one answer: its thinking on stderr, its text on stdout, as they come.

It knows looks and streams, and nothing of how tokens are made or counted.
"""

import math
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING

from llmcli.cli.looks import Looks, band_style, has_colour
from llmcli.cli.output import Output, safe

if TYPE_CHECKING:
    from rich.console import Console

    from llmcli.cli.flow import Flow
    from llmcli.cli.markdown_stream import MarkdownStream
    from llmcli.engine.generate import Step

THOUGHT = "dim"


class AnswerView:
    """Show every step, then `rest` if the answer was cut short, then `end`."""

    def __init__(self, output: Output, looks: Looks) -> None:
        self._output, self._looks = output, looks
        self._thoughts = ThoughtView(output, hide=looks.hide_thinking)
        self._markdown = _markdown_on(output) if looks.markdown else None
        self._coloured = looks.color_by != "none" and has_colour(output)
        flowing = self._coloured and output.interactive
        self._flow = _begun_flow(output.console()) if flowing else None

    def show(self, step: "Step") -> None:
        """One token; the text of an answer is on the screen when this returns."""
        if step.thinking or step.thought:
            self._thoughts.show(step.thought)
        if step.text:
            self._text(step.text, step)

    def rest(self, thought: str, text: str) -> None:
        """What was held back when the answer was cut short."""
        self._thoughts.more(thought)
        if text:
            self._text(text, None)

    def end(self) -> None:
        """The text ends with a line break."""
        self._thoughts.end(answered=False)
        if self._markdown is not None:
            self._markdown.finish()
        elif self._flow is not None:
            self._flow.finish()
        else:
            self._output.text("\n")

    def _text(self, text: str, step: "Step | None") -> None:
        self._thoughts.end()
        if self._markdown is not None:
            self._markdown.write(text)
        elif self._flow is not None:
            _flow_on(self._flow, text, self._style(step))
        elif self._coloured:
            style = self._style(step) or None
            self._output.console().out(safe(text), style=style, highlight=False, end="")
        else:
            self._output.text(text)

    def _style(self, step: "Step | None") -> str:
        if step is None:
            return ""
        sure = step.entropy if self._looks.color_by == "entropy" else math.exp(step.logprob)
        return band_style(self._looks.color_by, sure or 0.0)


def _markdown_on(output: Output) -> "MarkdownStream":
    from llmcli.cli.markdown_stream import MarkdownStream

    return MarkdownStream(output.console())


def _begun_flow(console: "Console") -> "Flow":
    from llmcli.cli.flow import Flow
    from llmcli.cli.markdown_parts import NewLine

    flow = Flow(console)
    flow.print(NewLine((), ()))
    return flow


def _flow_on(flow: "Flow", text: str, style: str) -> None:
    """A text whose line breaks stay."""
    from llmcli.cli.markdown_parts import NewLine
    from llmcli.cli.markdown_spans import Span

    for number, line in enumerate(text.split("\n")):
        if number:
            flow.print(NewLine((), ()))
        flow.print(Span(line, style))


class ThoughtView:
    """The thinking: dimmed on a terminal; or one line about it, once it has ended."""

    def __init__(self, output: Output, *, hide: bool) -> None:
        self._output, self._hide = output, hide
        self._terminal = output.stderr.isatty()
        self._flow: Flow | None = None
        self._began: float | None = None
        self._n_tokens = 0
        self._any = self._ended = False

    @cached_property
    def _console(self) -> "Console":  # most answers have no thinking, and need no Rich
        return self._output.console(stderr=True)

    def show(self, text: str) -> None:
        """One token of it, and what of its text is certain."""
        self._n_tokens += 1
        if self._began is None:
            self._began = perf_counter()
        self.more(text)

    def more(self, text: str) -> None:
        """Text of it, be it a token's or not."""
        if not text or self._output.quiet:
            return
        if not self._hide:
            self._print(text)
        elif not self._any and self._terminal and not self._console.is_dumb_terminal:
            self._console.out("thinking ...", style=THOUGHT, highlight=False, end="")
        self._any = True

    def end(self, *, answered: bool = True) -> None:
        """Before the answer, or at the end of a text that is all thinking."""
        if self._ended or not self._any:
            return
        self._ended = True
        if self._hide:
            self._in_one_line()
        elif self._flow is not None:
            self._flow.finish()
            self._output.stderr.write("\n" * answered)  # the answer stands below it
        else:
            self._output.stderr.write("\n")
        self._output.stderr.flush()

    def _print(self, text: str) -> None:
        if not self._terminal:
            self._output.stderr.write(safe(text))
            self._output.stderr.flush()
            return
        self._flow = self._flow or _begun_flow(self._console)
        _flow_on(self._flow, text, THOUGHT)

    def _in_one_line(self) -> None:
        from rich.control import Control
        from rich.segment import ControlType

        if self._terminal:
            erase = (ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
            self._console.control(Control(*erase))
        seconds = perf_counter() - (self._began or 0.0)
        line = f"thought for {seconds:.1f} s, {self._n_tokens:,} tokens"
        self._console.out(line, style=THOUGHT, highlight=False)
