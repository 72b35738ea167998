"""A conversation: messages in, each answer generated from the whole of them, rendered anew.

Reuse of the KV cache is no bookkeeping of turns: the new prompt's ids are compared with those the
cache holds. It knows nothing of terminals.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Unpack

from llmcli.core.sampling import Draw
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine import budget, overflow
from llmcli.engine.budget import Budget
from llmcli.engine.generate import Generation
from llmcli.engine.ledger import Origin, settle
from llmcli.engine.limits import check_prompt, need_template
from llmcli.engine.overflow import Drop, Message, Overflow
from llmcli.engine.prefix import HeldPrefix
from llmcli.engine.session import Model
from llmcli.engine.thinking import thinking_filter
from llmcli.engine.turn import AnswerOptions, State, Turn
from llmcli.errors import PromptError, UsageError


class Conversation:
    """`messages` is all there is; the last is the assistant's, or the list is empty. Turns for
    which the context has no room stay in it, and are left out of the prompt."""

    def __init__(
        self,
        model: Model,
        *,
        system: str | None = None,
        use_cache: bool = True,
        on_overflow: Overflow = "drop-oldest",
    ) -> None:
        self.model = model
        self.template = need_template(model.name, model.template)
        self.on_overflow = on_overflow
        self._use_cache = use_cache
        self.messages = []
        self._held = HeldPrefix(model.new_cache()) if use_cache else None
        self._origin: Origin | None = None
        self.turn: Turn | None = None
        """The one that is being answered, or was last."""
        self.system = system
        self._before = self.state()  # the last question

    @property
    def held(self) -> HeldPrefix | None:
        """What the KV cache holds; None without one."""
        return self._held

    @property
    def messages(self) -> list[Message]:
        """The system prompt, if there is one, questions and answers."""
        return self._messages

    @messages.setter
    def messages(self, messages: list[Message]) -> None:
        self._messages = messages
        self.left_out = 0
        """How many of the oldest turns the last prompt lacked."""

    @property
    def system(self) -> str | None:
        """The system prompt, if there is one."""
        return self.messages[0]["content"] if overflow.has_system(self.messages) else None

    @system.setter
    def system(self, text: str | None) -> None:
        rest = self.messages[1:] if self.system is not None else self.messages
        self._messages = ([{"role": "system", "content": text}] if text else []) + rest

    @property
    def last(self) -> Turn | None:
        """The turn whose answer stands at the end; None where it was not made here."""
        turn = self.turn
        kept = turn is not None and self._has_turn() and self.messages[-1] is turn.answer
        return turn if kept else None

    def ask(
        self, text: str, sampling: SamplingSpec, **options: Unpack[AnswerOptions]
    ) -> Generation:
        """The answer to `text`, still to be iterated, and then to be kept with `keep`.

        Raises PromptError where the conversation no longer fits; it is then as it was before.
        """
        started = perf_counter_ns()
        messages = [*self.messages, {"role": "user", "content": text}]
        room = overflow.answer_room(self.model.context, options.get("max_tokens"))
        ids, left_out, drops = self._fitted(messages, self.left_out, room)
        return self._begin(messages, ids, left_out, drops, sampling, started, options)

    def fork(
        self,
        index: int,
        draw: Draw,
        sampling: SamplingSpec,
        **options: Unpack[AnswerOptions],
    ) -> Generation:
        """The last answer up to its token `index`, then `draw` in that one's place, and what comes
        of it: to be iterated and kept as that of `ask`, whose answer it replaces.

        Raises UsageError where the last answer was not made here.
        """
        started, turn = perf_counter_ns(), self.need_last()
        before = turn.generation
        left_out = turn.left_out + sum(d.turns for d in turn.drops if 0 < d.at <= index)
        given = [*before.draws[:index], draw]
        ids = before.prompt_of(index)
        return self._begin(turn.messages, ids, left_out, [], sampling, started, options, given)

    def keep(self, generation: Generation) -> None:
        """Take the answer, whole or cut short, into the conversation; where a question was
        interrupted before any answer, all is as before it. What was thought is kept beside the
        answer: the template decides whether the model sees it again."""
        said = generation.text or generation.thought
        if generation.finish_reason in (None, "interrupted") and not said:
            self._settle(None)
            self.restore(self._before)
            return
        answer = {"role": "assistant", "content": generation.text}
        if generation.thought:
            answer["reasoning_content"] = generation.thought
        self._settle(answer)
        self._messages = [*self.messages, answer]

    def need_last(self) -> Turn:
        """As `last`. Raises UsageError where it is None."""
        if self.last is not None:
            return self.last
        if not self._has_turn():
            raise UsageError("there is no answer yet")
        raise UsageError(
            "how the last answer came about is not known: it was made earlier, or by another model",
            hint="/regen answers the question anew",
        )

    def undo(self) -> str:
        """Forget the last question and its answer; returns the question."""
        question = self.question
        if question is None:
            raise UsageError("there is no question yet")
        self._messages = self.messages[:-2]
        return question

    def state(self) -> State:
        """All that a turn changes, for `restore`."""
        return self._messages, self.left_out, self.turn

    def restore(self, state: State) -> None:
        """As it was when `state` was asked for; the cache is made to fit when it is needed."""
        self._messages, self.left_out, self.turn = state

    @contextmanager
    def unless_answered(self) -> Iterator[None]:
        """What is taken back within the block comes back where no answer takes its place."""
        before = self.state()
        try:
            yield
        finally:
            if len(self.messages) < len(before[0]):
                self.restore(before)

    @property
    def question(self) -> str | None:
        """The last question, if it was answered."""
        return self.messages[-2]["content"] if self._has_turn() else None

    def clear(self) -> None:
        """Forget every turn; the system prompt stays."""
        self.messages = [message for message in self.messages[:1] if message["role"] == "system"]

    def next_prompt(self, text: str) -> list[int]:
        """The ids of the prompt with which `text` would be asked."""
        messages = [*self.messages, {"role": "user", "content": text}]
        room = overflow.answer_room(self.model.context, None)
        return self._fitted(messages, self.left_out, room)[0]

    def budget(self, turn: Turn) -> Budget:
        """How the prompt of that turn shared the context out, when it was asked."""
        messages = overflow.without_oldest(turn.messages, turn.left_out)
        ids = turn.generation.prompt_ids
        return budget.measure(self.template, messages, ids, self.model.context)

    def context_used(self) -> int:
        """Tokens of the rendered conversation, without what is left out, nor what the template
        would write behind an answer that ends where the context does."""
        count = self._count(overflow.without_oldest(self.messages, self.left_out))
        return min(count, self.model.context)

    def with_model(self, model: Model) -> "Conversation":
        """The same messages with another model. Raises InvalidModelError where it cannot chat."""
        twin = Conversation(model, use_cache=self._use_cache, on_overflow=self.on_overflow)
        twin.template.think = self.template.think
        twin.template.examples = self.template.examples
        twin.messages = [*self.messages]
        return twin

    def _begin(
        self,
        messages: list[Message],
        ids: list[int],
        left_out: int,
        drops: list[Drop],
        sampling: SamplingSpec,
        started_ns: int,
        options: AnswerOptions,
        given: Sequence[Draw] = (),
    ) -> Generation:
        def shorten(answer: Sequence[int]) -> list[int] | None:
            ids, self.left_out, more = self._fitted(messages, self.left_out, room, len(answer))
            drops.extend(more)
            return ids if more and len(ids) + len(answer) < self.model.context else None

        room = overflow.answer_room(self.model.context, options.get("max_tokens"))
        generation = Generation(
            self.model,
            ids,
            sampling,
            held=self._held,
            use_cache=self._use_cache,
            started_ns=started_ns,
            thinking=thinking_filter(self.template, self.model.tokenizer, ids),
            given=given,
            shorten=shorten if self.on_overflow == "shift" else None,
            **options,
        )
        self._before = self.state()
        self._messages, self.left_out = [*messages], left_out
        self.turn = Turn(messages, left_out, generation, drops)
        return generation

    def _fitted(
        self, messages: list[Message], left_out: int, room: int, answered: int = 0
    ) -> tuple[list[int], int, list[Drop]]:
        """The prompt, and how many turns it leaves out: more than `left_out` where there is no
        room for `room` more tokens after `answered` ones, if any are to go."""

        def prompt(messages: list[Message]) -> list[int]:
            return self.template.encode(messages)

        most = self.model.context - answered - room
        ids = prompt(overflow.without_oldest(messages, left_out))
        if self.on_overflow == "stop" or len(ids) <= most:
            self._check(ids, messages)
            return ids, left_out, []
        more = overflow.turns_to_drop(messages, left_out, most, lambda part: len(prompt(part)))
        shorter = prompt(overflow.without_oldest(messages, more))
        check_prompt(shorter, self.model.context)
        if more == left_out:
            return ids, left_out, []
        questions = overflow.dropped_questions(messages, left_out, more)
        drop = Drop(more - left_out, len(ids) - len(shorter), questions, answered)
        return shorter, more, [drop]

    def _check(self, ids: list[int], messages: list[Message]) -> None:
        try:
            check_prompt(ids, self.model.context)
        except PromptError as error:
            if len(messages) < 3:  # there is nothing that could go
                raise
            hint = "/undo or /clear makes room; --on-overflow drop-oldest forgets the oldest turns"
            raise PromptError(str(error), hint=hint) from None

    def _settle(self, answer: Message | None) -> None:
        """Close the turn's ledger, and note what the cache is made of now."""
        turn = self.turn
        assert turn is not None
        generation, reuse = turn.generation, turn.generation.reuse
        turn.answer = answer
        if reuse is None:
            return
        earlier = overflow.without_oldest(turn.messages[:-1], turn.left_out)
        turn.ledger = settle(
            reuse,
            (generation.prompt_ids + generation.token_ids)[: reuse.reused + reuse.new],
            turn.messages,
            turn.left_out,
            self._count(earlier) if reuse.dropped else 0,
            self._origin,
            self.model.tokenizer,
        )
        self._origin = Origin(
            messages=(*turn.messages, *([answer] if answer else [])),
            left_out=self.left_out,
            prompt_tokens=len(generation.prompt_of(len(generation.token_ids))),
            thought=bool(generation.thought),
            cut=generation.cut,
        )

    def _count(self, messages: list[Message]) -> int:
        """Tokens of the turns in `messages`."""
        if not messages or messages[-1]["role"] != "assistant":
            return 0
        return len(self.template.encode(messages, add_generation_prompt=False))

    def _has_turn(self) -> bool:
        return bool(self.messages) and self.messages[-1]["role"] == "assistant"
