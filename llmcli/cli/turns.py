"""One chat as it goes: each question put to the model, its answer streamed, kept and accounted for.

It knows the conversation and how its answers are shown, and nothing of where questions come from.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from llmcli.cli.answer_text import need_complete, tell
from llmcli.cli.context_text import budget_figures, drop_line, show_miss
from llmcli.cli.interrupts import interruptible
from llmcli.cli.looks import PLAIN, Looks
from llmcli.cli.output import Output
from llmcli.cli.profile import Profile
from llmcli.cli.sampling_settings import SamplingSettings
from llmcli.cli.session_keeper import SessionKeeper
from llmcli.cli.streaming import ChatSummary, stream, summarize
from llmcli.cli.timings_text import show_footer
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.cli.message_reader import Reader
    from llmcli.core.sampling import Draw
    from llmcli.engine.conversation import Conversation
    from llmcli.engine.generate import FinishReason, Generation
    from llmcli.engine.session import Model
    from llmcli.engine.timings import Timings
    from llmcli.engine.turn import AnswerOptions, Turn

    # The name of a model -> it, and the settings that go with it.
    OtherModel = Callable[[str, SamplingSettings], tuple[Model, SamplingSettings]]


class Turns:
    """`conversation` and `settings` may be changed between two turns. `reader` is where questions
    come from, if somebody types them; `load` takes another model. `attached` are texts that go
    before the next question; `n_candidates` is how many of each token's likeliest are told."""

    def __init__(
        self,
        conversation: "Conversation",
        settings: SamplingSettings,
        output: Output,
        *,
        show_timings: bool,
        looks: Looks = PLAIN,
        keeper: SessionKeeper | None = None,
        profile: Profile | None = None,
        load: "OtherModel | None" = None,
    ) -> None:
        self.conversation, self.settings, self.output = conversation, settings, output
        self.keeper = keeper or SessionKeeper.nowhere(output)
        self.profile = profile or Profile()
        self._unanswered: str | None = None
        self.timings: Timings | None = None
        self.reader: Reader | None = None
        self.attached: list[str] = []
        self.n_candidates = 0
        self._show_timings, self._looks, self._load = show_timings, looks, load

    def take(self, text: str) -> "FinishReason | None":
        """Ask, and show the answer. Ctrl+C cuts it short; what was said is kept.

        Raises PromptError, and GenerationError, also for an answer that is kept and lacks the end
        it had to have; the conversation stays usable.
        """

        attached, before = self.attached, len(self.conversation.messages)

        def begin() -> "Generation":
            question = self.with_attached(text)
            generation = self._ask(question)
            self.attached = []
            return generation

        try:
            return self._answer(begin)
        finally:
            if len(self.conversation.messages) == before:  # the question is dropped again
                self.attached = attached

    def save(self) -> None:
        """Keep the chat as it is now, where it is kept."""
        self.keeper.save(self.conversation, self.settings)

    def leave(self) -> None:
        """The chat is over."""
        self.keeper.close(self.conversation, self.settings)

    @property
    def question(self) -> str | None:
        """The last question, answered or not; None where there is none."""
        return self._unanswered or self.conversation.question

    def undo(self) -> str:
        """Take back the last question, and its answer if it has one; returns the question."""
        question, self._unanswered = self._unanswered, None
        return question or self.conversation.undo()

    def clear(self) -> None:
        """Forget every turn; the system prompt stays."""
        self._unanswered = None
        self.conversation.clear()

    def retake(self, text: str | None = None) -> None:
        """Answer the last question anew, or one that a session was left with, or `text` in its
        place. Raises UsageError where there is none; an answer that does not come leaves the old
        one in place."""
        with self.conversation.unless_answered():
            question = self._unanswered or self.conversation.undo()
            self._answer(lambda: self._ask(text or question))

    def fork(self, index: int, draw: "Draw") -> None:
        """Go on from the last answer's token `index` with another in its place; where nothing
        comes of it the old answer stays."""
        with self.conversation.unless_answered():
            spec, options = self.settings.spec(), self._options()
            self._answer(lambda: self.conversation.fork(index, draw, spec, **options))

    def take_model(self, name: str) -> None:
        """Go on with another model. Raises what loading raises; the old one is in place then."""
        if self._load is None:
            raise UsageError("another model cannot be loaded here")
        model, settings = self._load(name, self.settings)
        self.conversation = self.conversation.with_model(model)
        self.settings, self.timings = settings, None
        self.introduce()

    def introduce(self) -> None:
        """Say which model answers."""
        model = self.conversation.model
        scheme, dtype = model.scheme, str(model.decoder.dtype).removeprefix("torch.")
        kind = dtype if scheme is None else f"{scheme.label}, {dtype}"
        where = f"{kind} on {model.decoder.device}"
        self.output.notice(f"{model.name} · {where} · context {model.context:,} tokens")

    def with_attached(self, text: str) -> str:
        """The next question as the model will get it."""
        return "\n\n".join([*self.attached, text])

    def resume(self, system: str | None) -> None:
        """Go on with the session that the keeper has open, if it has, and this system prompt."""
        self._unanswered = self.keeper.restore(self.conversation, self.settings, system)

    def load(self, name: str) -> None:
        """Go on with another session; this one stays as it is kept. Raises as `open`."""
        self.leave()
        session = self.keeper.open(name)
        template = self.conversation.model.template
        if template is not None:
            template.examples = self.profile.examples or session.examples
        self.resume(session.system)

    def context_used(self) -> int:
        """Tokens of the conversation so far."""
        return self.conversation.context_used()

    def _ask(self, question: str) -> "Generation":
        return self.conversation.ask(question, self.settings.spec(), **self._options())

    def _options(self) -> "AnswerOptions":
        settings = self.settings
        return {
            "max_tokens": settings.max_tokens,
            "stop": settings.stop,
            "measure_entropy": self._looks.color_by == "entropy",
            "grammar": settings.grammar,
            "n_candidates": self.n_candidates,
        }

    def _answer(self, begin: "Callable[[], Generation]") -> "FinishReason | None":
        before = self.conversation.state()
        try:
            with interruptible():
                generation = begin()
        except BaseException:  # Ctrl+C, too, may come between any two steps of it
            self.conversation.restore(before)
            raise
        turn = self.conversation.turn
        assert turn is not None
        for drop in turn.drops:
            self.output.notice(drop_line(drop, self.conversation.model.context))
        announced = len(turn.drops)
        try:
            self.keeper.save_question(self.conversation, self.settings)
            stream(generation, self.output, self._looks)
        finally:
            self.conversation.keep(generation)
            timings = generation.timings()
            if turn.answer is not None:
                self.timings, self._unanswered = timings, None
            counts = {"tokens": len(generation.token_ids), "prompt_tokens": timings.prompt_tokens}
            self.keeper.save(self.conversation, self.settings, counts)
            for drop in turn.drops[announced:]:
                self.output.notice(drop_line(drop, self.conversation.model.context))
        self._account(turn, timings)
        return generation.finish_reason

    def _account(self, turn: "Turn", timings: "Timings") -> None:
        generation, budget = turn.generation, self.conversation.budget(turn)
        if self.output.json:
            more = {"budget": budget, "prefix": turn.ledger, "drops": turn.drops}
            summarize(ChatSummary, generation, self.settings, self.output, more)
        if turn.answer is None:
            self.output.notice("nothing was said yet: the conversation is as it was before")
            return
        tell(generation, self.output)
        context = self.conversation.model.context
        if generation.finish_reason == "context" and generation.constrained is None:
            self.output.notice(f"the answer was cut: the context of {context:,} tokens is full")
        show_miss(self.output, turn.ledger)
        if self._show_timings:
            figures = budget_figures(budget)
            show_footer(self.output, timings, self.context_used(), context, figures)
        need_complete(generation)
