"""A model that says what a test has it say: its passes are run, and what it draws is scripted."""

import math
from collections.abc import Iterator

from llmcli.core.sampling import Draw, Sampler
from llmcli.engine.session import Model

# Lets thinking be switched, gives it back while it is the last turn's, and may open it itself.
THINKING_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{% if message.reasoning_content and loop.last %}"
    "{{ '<think>\\n' + message.reasoning_content + '\\n</think>\\n' }}{% endif %}"
    "{{ message.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n</think>\\n' }}"
    "{% elif enable_thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}"
)


def ids_of(model: Model, text: str) -> list[int]:
    """The tokens of an answer, and its end."""
    return [*model.tokenizer.encode_rendered(text), min(model.stop_ids)]


def say(monkeypatch, model: Model, *answers: str, probability: float = 0.5) -> None:
    """Have the model give these answers, one after the other."""
    script: Iterator[int] = iter([id for answer in answers for id in ids_of(model, answer)])

    def draw(self: Sampler, *logits_and_ids: object) -> Draw:
        return Draw(next(script), math.log(probability))

    monkeypatch.setattr(Sampler, "draw", draw)
