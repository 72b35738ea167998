"""An answer on its way to stdout: text as it comes, or JSON Lines, and what is told at its end.

It knows nothing of how tokens are made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from llmcli.cli.answer_text import Constraint, constraint_of
from llmcli.cli.answer_view import AnswerView
from llmcli.cli.interrupts import interruptible
from llmcli.cli.looks import PLAIN, Looks
from llmcli.cli.output import Output
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.engine.timings import Timings
from llmcli.reports import to_json, to_plain

if TYPE_CHECKING:
    from llmcli.engine.budget import Budget
    from llmcli.engine.generate import Generation, Step
    from llmcli.engine.ledger import Ledger
    from llmcli.engine.overflow import Drop


@dataclass(frozen=True)
class TokenLine:
    """One token as a JSON line."""

    type: str
    id: int
    text: str
    logprob: float
    index: int


@dataclass(frozen=True)
class ThoughtLine(TokenLine):
    """One token of the thinking before the answer."""

    thinking: bool = True


@dataclass(frozen=True)
class Summary:
    """The last JSON line of an answer: `text` is without `thought`, which came before it.
    `sampling_sources` says where each setting came from."""

    type: str
    model: str
    text: str
    thought: str
    token_ids: list[int]
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    timings: Timings
    constraint: Constraint | None
    sampling: Mapping[str, Any]
    sampling_sources: Mapping[str, str]


class JsonLines:
    """One line for each token."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, step: "Step") -> None:
        kind = ThoughtLine if step.thinking else TokenLine
        text = step.thought + step.text
        line = kind("token", step.token, text, step.logprob, step.index)
        more = {"top_logprobs": step.candidates} if step.candidates else {}
        self._output.text(to_json({**to_plain(line), **more}, indent=None) + "\n")

    def rest(self, thought: str, text: str) -> None:
        """It belongs to tokens whose lines are printed; the summary has it."""

    def end(self) -> None:
        pass


class GenerateSummary(Summary):
    schema: ClassVar[str] = "generate/1"


@dataclass(frozen=True)
class ChatSummary(Summary):
    """`prefix` is None without a cache; `drops` are the turns that made room for this one."""

    budget: "Budget"
    prefix: "Ledger | None"
    drops: "Sequence[Drop]"
    schema: ClassVar[str] = "chat/1"


def stream(generation: "Generation", output: Output, looks: Looks = PLAIN) -> None:
    """Print every token as it is made; Ctrl+C ends the answer and keeps what was said.

    Text ends with a line break. On a terminal it is made safe; elsewhere it is byte for byte. What
    follows a grammar is no Markdown.
    """
    if generation.constrained is not None:
        looks = replace(looks, markdown=False)
    view = JsonLines(output) if output.json else AnswerView(output, looks)
    try:
        try:
            with interruptible() as interruption:
                for step in generation:
                    with interruption.after():
                        view.show(step)
        except KeyboardInterrupt:
            view.rest(*generation.interrupt())
    finally:
        view.end()


def summarize(
    kind: type[Summary],
    generation: "Generation",
    settings: SamplingSettings,
    output: Output,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Print the summary line of a finished answer; `more` are the fields that `kind` adds."""
    table = settings.table()
    timings = generation.timings()
    assert generation.finish_reason is not None
    report = kind(
        type="summary",
        model=generation.model.name,
        text=generation.text,
        thought=generation.thought,
        token_ids=generation.token_ids,
        finish_reason=generation.finish_reason,
        prompt_tokens=timings.prompt_tokens,
        cached_tokens=generation.cached_tokens,
        timings=timings,
        constraint=constraint_of(generation),
        sampling={name: setting.value for name, setting in table.items()},
        sampling_sources={name: setting.source for name, setting in table.items()},
        **more,
    )
    output.text(to_json(report, indent=None) + "\n")
