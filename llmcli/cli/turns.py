"""One chat as it goes: each question put to the model, its answer streamed, kept and accounted for.

It knows the conversation and how its answers are shown, and nothing of where questions come from.
"""

from typing import TYPE_CHECKING

from llmcli.cli.interrupts import interruptible
from llmcli.cli.looks import PLAIN, Looks
from llmcli.cli.output import Output
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.streaming import ChatSummary, stream, summarize
from llmcli.cli.timings_text import show_footer

if TYPE_CHECKING:
    from llmcli.engine.conversation import Conversation
    from llmcli.engine.generate import FinishReason, Generation
    from llmcli.engine.timings import Timings


class Turns:
    """`conversation` and `settings` may be changed between two turns."""

    def __init__(
        self,
        conversation: "Conversation",
        settings: SamplingSettings,
        output: Output,
        *,
        show_timings: bool,
        looks: Looks = PLAIN,
    ) -> None:
        self.conversation, self.settings, self.output = conversation, settings, output
        self.timings: Timings | None = None
        self._show_timings, self._looks = show_timings, looks

    def take(self, text: str) -> "FinishReason | None":
        """Ask, and show the answer. Ctrl+C cuts it short; what was said is kept.

        Raises PromptError and GenerationError; the conversation stays usable.
        """
        before = self.conversation.messages
        try:
            with interruptible():
                generation = self.conversation.ask(
                    text,
                    self.settings.spec(),
                    max_tokens=self.settings.max_tokens,
                    stop=self.settings.stop,
                    measure_entropy=self._looks.color_by == "entropy",
                )
        except BaseException:  # Ctrl+C, too, may come between any two steps of it
            self.conversation.messages = before
            raise
        try:
            stream(generation, self.output, self._looks)
        finally:
            self.conversation.keep(generation)
            self.timings = generation.timings()
        self._account(generation, self.timings)
        return generation.finish_reason

    def retake(self) -> None:
        """Answer the last question anew. Raises UsageError where there is none; an answer that
        does not come leaves the old one in place."""
        before = [*self.conversation.messages]
        question = self.conversation.undo()
        try:
            self.take(question)
        finally:
            if len(self.conversation.messages) < len(before):
                self.conversation.messages = before

    def context_used(self) -> int:
        """Tokens of the conversation so far."""
        return self.conversation.context_used()

    def _account(self, generation: "Generation", timings: "Timings") -> None:
        if self.output.json:
            summarize(ChatSummary, generation, self.settings, self.output)
        context = self.conversation.model.context
        if generation.finish_reason == "context":
            self.output.notice(f"the answer was cut: the context of {context:,} tokens is full")
        said = generation.text or generation.thought
        if generation.finish_reason == "interrupted" and not said:
            self.output.notice("nothing was said yet: the conversation is as it was before")
        if self._show_timings:
            show_footer(self.output, timings, self.context_used(), context)
