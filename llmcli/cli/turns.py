"""One chat as it goes: each question put to the model, its answer streamed, kept and accounted for.

It knows the conversation and how its answers are shown, and nothing of where questions come from.
"""

from typing import TYPE_CHECKING

from llmcli.cli.output import Output
from llmcli.cli.profile import Profile
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.session_keeper import SessionKeeper
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
        keeper: SessionKeeper | None = None,
        profile: Profile | None = None,
    ) -> None:
        self.conversation, self.settings, self.output = conversation, settings, output
        self.keeper = keeper or SessionKeeper.nowhere(output)
        self.profile = profile or Profile()
        self._unanswered: str | None = None
        self.timings: Timings | None = None
        self._show_timings = show_timings

    def take(self, text: str) -> "FinishReason | None":
        """Ask, and show the answer. Ctrl+C cuts it short; what was said is kept.

        Raises PromptError and GenerationError; the conversation stays usable.
        """
        generation = self.conversation.ask(
            text,
            self.settings.spec(),
            max_tokens=self.settings.max_tokens,
            stop=self.settings.stop,
        )
        self._unanswered = None
        try:
            self.keeper.save_question(self.conversation, self.settings)
            stream(generation, self.output)
        finally:
            self.conversation.keep(generation)
            self.timings = generation.timings()
            counts = {
                "tokens": len(generation.token_ids),
                "prompt_tokens": len(generation.prompt_ids),
            }
            self.keeper.save(self.conversation, self.settings, counts)
        self._account(generation, self.timings)
        return generation.finish_reason

    def retake(self) -> None:
        """Answer the last question anew, or one that a session was left with. Raises UsageError
        where there is none; an answer that does not come leaves the old one in place."""
        before = [*self.conversation.messages]
        question = self._unanswered or self.conversation.undo()
        try:
            self.take(question)
        finally:
            if len(self.conversation.messages) < len(before):
                self.conversation.messages = before

    def resume(self, system: str | None) -> None:
        """Go on with the session that the keeper has open, if it has, and this system prompt."""
        self._unanswered = self.keeper.restore(self.conversation, self.settings, system)

    def load(self, name: str) -> None:
        """Go on with another session; this one stays as it is kept. Raises as `open`."""
        self.keeper.close(self.conversation, self.settings)
        session = self.keeper.open(name)
        template = self.conversation.model.template
        if template is not None:
            template.examples = self.profile.examples or session.examples
        self.resume(session.system)

    def context_used(self) -> int:
        """Tokens of the conversation so far."""
        return self.conversation.context_used()

    def _account(self, generation: "Generation", timings: "Timings") -> None:
        if self.output.json:
            summarize(ChatSummary, generation, self.settings, self.output)
        context = self.conversation.model.context
        if generation.finish_reason == "context":
            self.output.notice(f"the answer was cut: the context of {context:,} tokens is full")
        if generation.finish_reason == "interrupted" and not generation.text:
            self.output.notice("nothing was said yet: the conversation is as it was before")
        if self._show_timings:
            show_footer(self.output, timings, self.context_used(), context)
