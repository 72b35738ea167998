"""A conversation: messages in, each answer generated from the whole of them, rendered anew.

Reuse of the KV cache is no bookkeeping of turns: the new prompt's ids are compared with those the
cache holds. It knows nothing of terminals.
"""

from collections.abc import Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING

from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.generate import Generation
from llmcli.engine.limits import need_template
from llmcli.engine.prefix import HeldPrefix
from llmcli.engine.session import Model
from llmcli.engine.thinking import thinking_filter
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.engine.grammar import Grammar

Message = dict[str, str]


class Conversation:
    """`messages` is all there is; the last is the assistant's, or the list is empty."""

    def __init__(self, model: Model, *, system: str | None = None, use_cache: bool = True) -> None:
        self.model = model
        self._template = need_template(model.name, model.template)
        self._use_cache = use_cache
        self.messages: list[Message] = []
        self._held = HeldPrefix(model.new_cache()) if use_cache else None
        self.system = system

    @property
    def system(self) -> str | None:
        """The system prompt, if there is one."""
        first = self.messages[0] if self.messages else None
        return first["content"] if first is not None and first["role"] == "system" else None

    @system.setter
    def system(self, text: str | None) -> None:
        rest = self.messages[1:] if self.system is not None else self.messages
        self.messages = ([{"role": "system", "content": text}] if text else []) + rest

    def ask(
        self,
        text: str,
        sampling: SamplingSpec,
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        measure_entropy: bool = False,
        grammar: "Grammar | None" = None,
        n_candidates: int = 0,
    ) -> Generation:
        """The answer to `text`, still to be iterated, and then to be kept with `keep`.

        Raises PromptError where the conversation no longer fits; it is then as it was before.
        """
        started = perf_counter_ns()
        messages = [*self.messages, {"role": "user", "content": text}]
        ids = self._template.encode(messages)
        generation = Generation(
            self.model,
            ids,
            sampling,
            max_tokens=max_tokens,
            stop=stop,
            held=self._held,
            use_cache=self._use_cache,
            started_ns=started,
            thinking=thinking_filter(self._template, self.model.tokenizer, ids),
            measure_entropy=measure_entropy,
            grammar=grammar,
            n_candidates=n_candidates,
        )
        self.messages = messages
        return generation

    def keep(self, generation: Generation) -> None:
        """Take the answer, whole or cut short, into the conversation; a question that was
        interrupted before any answer is dropped again. What was thought is kept beside the answer:
        the template decides whether the model sees it again."""
        said = generation.text or generation.thought
        if generation.finish_reason in (None, "interrupted") and not said:
            self.messages.pop()
            return
        answer = {"role": "assistant", "content": generation.text}
        if generation.thought:
            answer["reasoning_content"] = generation.thought
        self.messages.append(answer)

    def undo(self) -> str:
        """Forget the last question and its answer; returns the question."""
        if not self._has_turn():
            raise UsageError("there is no turn to take back")
        self.messages.pop()
        return self.messages.pop()["content"]

    def clear(self) -> None:
        """Forget every turn; the system prompt stays."""
        self.messages = [message for message in self.messages[:1] if message["role"] == "system"]

    def context_used(self) -> int:
        """Tokens of the rendered conversation."""
        if not self._has_turn():
            return 0
        return len(self._template.encode(self.messages, add_generation_prompt=False))

    def _has_turn(self) -> bool:
        return bool(self.messages) and self.messages[-1]["role"] == "assistant"
