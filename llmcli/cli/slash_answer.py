"""Slash commands that look at the last answer token by token, or go back to one of its tokens.

They know the looks; what is shown comes from `views.next_token` and the tokenizer.
"""

from typing import TYPE_CHECKING

from llmcli.cli.context_text import tokens
from llmcli.cli.interrupts import interruptible
from llmcli.cli.one_token import token_of
from llmcli.cli.slash_command import Command, say, show
from llmcli.cli.table import FittedTable, Row, cell
from llmcli.cli.turns import Turns
from llmcli.cli.why_text import why_lines, why_tables
from llmcli.errors import UsageError

if TYPE_CHECKING:
    from llmcli.views.next_token import NextToken

TOP = 10
CONTEXT_TOKENS = 8


def _why(turns: Turns, rest: str) -> bool:
    index = _index(turns, rest or "-1")
    generation = turns.conversation.need_last().generation
    view = _view(turns, index)
    labels = map(turns.conversation.model.tokenizer.label, _before(turns, index))
    n = len(generation.token_ids)
    say(turns, f"token {index} (of 0 to {n - 1}) came after …{cell(''.join(labels))}")
    tables = why_tables(view, generation.sampling)
    right = (0, *range(2, len(tables[0][0]) - 1))
    turns.output.console(stderr=True).print(FittedTable(tables, right=right))
    say(turns, "\n".join(why_lines(view, generation.sampling)))
    return True


def _fork(turns: Turns, rest: str) -> bool:
    from llmcli.core.sampling import Draw

    number, _, alternative = rest.partition(" ")
    if not number:
        raise UsageError("/fork needs the number of a token", hint="/tokens numbers them")
    index, wanted = _index(turns, number), alternative.strip()
    there = turns.conversation.need_last().generation.token_ids[index]
    ids: tuple[int, ...] = ()
    rank = int(wanted[1:10]) if wanted.startswith("#") and wanted[1:].isdecimal() else None
    if wanted and rank is None:
        model = turns.conversation.model
        ids = (token_of(wanted, model.tokenizer, model.decoder.config.vocab_size),)
    view = _view(turns, index, top=rank or TOP, also=ids)
    if rank is not None:
        chosen = [one for one in view.candidates if one.rank == rank]
    else:
        chosen = [one for one in view.candidates if one.id in (ids or {one.id} - {there})]
    if not chosen or chosen[0].logprob is None:
        raise UsageError(f"{wanted[:40] or 'another token'} cannot come there")
    if chosen[0].id == there:
        raise UsageError(
            f"token {index} is {chosen[0].label!r} already", hint=f"/why {index} lists others"
        )
    turns.fork(index, Draw(chosen[0].id, chosen[0].logprob))
    return True


def _tokens(turns: Turns, rest: str) -> bool:
    tokenizer = turns.conversation.model.tokenizer
    answer = [] if rest else turns.conversation.need_last().generation.token_ids
    ids = answer or tokenizer.encode(rest)
    rows: list[Row] = [("#", "id", "token", "")]
    for number, piece in enumerate(tokenizer.describe(ids)):
        note = "special" if piece.special else ""
        rows.append((str(number), str(piece.id), cell(piece.label), note))
    show(turns, rows, right=(0, 1))
    say(turns, tokens(len(ids)))
    return True


def _index(turns: Turns, text: str) -> int:
    """The place of an answer's token, counted from 0."""
    n = len(turns.conversation.need_last().generation.token_ids)
    try:
        index = int(text)
    except ValueError:
        index = n
    if not -n <= index < n:
        raise UsageError(
            f"there is no token {text[:40]}: the last answer's are 0 to {n - 1}, or -{n} to -1"
        )
    return index % n


def _view(turns: Turns, index: int, top: int = TOP, also: tuple[int, ...] = ()) -> "NextToken":
    from llmcli.views import next_token

    conversation = turns.conversation
    generation = conversation.need_last().generation
    before, constrained = generation.token_ids[:index], generation.constrained
    with interruptible():
        return next_token.run(
            conversation.model,
            generation.prompt_of(index),
            generation.sampling,
            answer_ids=before,
            held=conversation.held,
            top=top,
            drawn=generation.token_ids[index],
            also=also,
            mask=None if constrained is None else constrained.mask_after(before),
        )


def _before(turns: Turns, index: int) -> list[int]:
    generation = turns.conversation.need_last().generation
    return [*generation.prompt_of(index), *generation.token_ids[:index]][-CONTEXT_TOKENS:]


COMMANDS = {
    "why": Command("why [N]", "why the answer's token N came (from 0; -1 is the last)", _why),
    "fork": Command(
        "fork N [TOKEN]", "go on from token N with another: #2 of /why, id, text", _fork
    ),
    "tokens": Command(
        "tokens [TEXT]", "the last answer's tokens, numbered, or those of TEXT", _tokens
    ),
}
