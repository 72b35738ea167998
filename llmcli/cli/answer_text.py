"""What is told below an answer: whether it is what was asked for, and what else might have come.

It knows words and tables, and nothing of how grammars are followed.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmcli.cli.context_text import tokens
from llmcli.cli.output import Output
from llmcli.cli.table import FittedTable, Row, cell
from llmcli.cli.why_text import percent
from llmcli.errors import GenerationError

if TYPE_CHECKING:
    from llmcli.engine.generate import Generation

ALTERNATIVES = (100, 20, 10, 5, 3, 2, 1)  # as many as the width allows


@dataclass(frozen=True)
class Constraint:
    """What an answer had to look like. `satisfied`: it does; `shortened`: it was brought to its
    end when the room ran out."""

    kind: str
    satisfied: bool
    shortened: bool


def constraint_of(generation: "Generation") -> Constraint | None:
    """None where the answer was free."""
    answer = generation.constrained
    if answer is None:
        return None
    return Constraint(answer.grammar.kind, answer.matches(generation.text), answer.shortened)


def tell(generation: "Generation", output: Output) -> None:
    """Where they were asked for, and no JSON line has them, each token's alternatives; whether
    nothing came but thinking; and whether the end of the answer was not the model's choice."""
    if generation.candidates and not output.json:
        tables = [_alternatives(generation, n) for n in ALTERNATIVES]
        output.console(stderr=True).print(FittedTable(tables, right=(0, 2)))
    if generation.thought and not generation.text and not output.json:
        output.notice("all of it was thinking: there is no answer")
    answer = generation.constrained
    if answer is not None and answer.shortened and not _is_incomplete(generation):
        output.notice(
            f"the answer was brought to its end within {tokens(len(generation.token_ids))}, which "
            "is all there was room for: the last of it is no more than what had to come, not the "
            "model's choice"
        )


def need_complete(generation: "Generation") -> None:
    """Raises GenerationError where the room was too short for what the answer had to be."""
    if generation.constrained is not None and _is_incomplete(generation):
        form, n = generation.constrained.grammar.name, len(generation.token_ids)
        raise GenerationError(
            f"the answer is not complete: there was room for {tokens(n)}, too few for its {form}",
            hint="a larger --max-tokens (in a chat: /set max_tokens N) or a shorter prompt helps",
        )


def _is_incomplete(generation: "Generation") -> bool:
    constraint = constraint_of(generation)
    ended = generation.finish_reason in ("length", "context")
    return constraint is not None and ended and not constraint.satisfied


def _alternatives(generation: "Generation", most: int) -> list[Row]:
    """Each token with its probability, and the likeliest others, at most so many."""
    label = generation.model.tokenizer.label
    rows = []
    for index, draw in enumerate(generation.draws):
        others = [one for one in generation.candidates.get(index, ()) if one.id != draw.token]
        cells = [f"{cell(label(one.id))} {percent(math.exp(one.logprob))}" for one in others[:most]]
        rows.append((str(index), cell(label(draw.token)), percent(math.exp(draw.logprob)), *cells))
    width = max(map(len, rows))
    head = ("#", "token", "p", "likeliest others")[:width]
    return [row + ("",) * (width - len(row)) for row in (head, *rows)]
