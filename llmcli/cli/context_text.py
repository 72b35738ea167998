"""The context, for people: what fills it, what was dropped from it, what the cache spared.

It knows how these are worded, and nothing of how they are counted.
"""

from typing import TYPE_CHECKING

from llmcli.cli.output import Output, safe
from llmcli.cli.table import Row, cell, size

if TYPE_CHECKING:
    from llmcli.engine.budget import Budget
    from llmcli.engine.ledger import Ledger
    from llmcli.engine.overflow import Drop

LARGE_TOKENS, LARGE_SHARE = 64, 0.25  # a recomputation to tell of unasked
EXCERPT = 40
REASONS = {
    "first_prompt": "nothing was held yet",
    "system_changed": "the system prompt changed",
    "turns_dropped": "the oldest turns were dropped",
    "turn_changed": "turns were changed (/undo, /edit, /regen, /fork, /load)",
    "thinking_dropped": "the template drops the thinking of earlier answers",
    "answer_cut": "the last answer was cut before a stop text",
    "retokenised": "the last answer's text reads back as other tokens than the model wrote",
    "history_rewritten": "the template writes earlier messages otherwise than before",
    None: "the cache comes from elsewhere",
}


def budget_figures(budget: "Budget") -> str:
    """For the line below an answer: what the prompt was made of, and what was left."""
    return (
        f"system {budget.system} + history {budget.history} + message {budget.message} · "
        f"room {budget.room}"
    )


def budget_rows(budget: "Budget", left_out: int) -> list[Row]:
    gone = f"; {_turns(left_out)} left out" if left_out else ""
    return [
        ("system prompt", _share(budget.system, budget)),
        ("history", _share(budget.history, budget) + gone),
        ("last message", _share(budget.message, budget)),
        ("room for the answer", _share(budget.room, budget)),
    ]


def ledger_rows(ledger: "Ledger | None") -> list[Row]:
    """What was taken over from the cache, and where it ended."""
    if ledger is None:
        return [("prefix reuse", "off")]
    rows: list[Row] = [
        ("reused", f"{tokens(ledger.reused)}, {size(ledger.reused_kv_bytes)} of the KV cache"),
        ("new", tokens(ledger.new) + _repeated(ledger)),
        ("dropped", f"{tokens(ledger.dropped)}, {size(ledger.dropped_kv_bytes)}"),
    ]
    if ledger.reason is not None or ledger.parted_at is not None:
        rows.append(("why not more", REASONS[ledger.reason]))
    if ledger.parted_at is not None:
        held, now = _excerpt(ledger.held_text), _excerpt(ledger.prompt_text)
        rows.append((f"at token {ledger.parted_at:,}", f"the cache had {held}"))
        rows.append(("", f"the prompt has {now}"))
    return rows


def drop_line(drop: "Drop", context: int) -> str:
    """What had to go to make room."""
    when = "is nearly full" if drop.at == 0 else f"filled at token {drop.at:,} of the answer"
    questions = ", ".join(map(_excerpt, drop.questions[:3]))
    more = ", ..." if len(drop.questions) > 3 else ""
    return (
        f"the context of {context:,} tokens {when}: forgetting {_turns(drop.turns)} "
        f"({tokens(drop.tokens)}): {questions}{more}"
    )


def show_miss(output: Output, ledger: "Ledger | None") -> None:
    """One dim line where a person would wonder what takes so long, on a terminal."""
    if ledger is None or output.quiet or not output.stderr.isatty():
        return
    large = max(LARGE_TOKENS, LARGE_SHARE * (ledger.reused + ledger.new))
    if ledger.repeated >= large and ledger.reason != "turns_dropped":  # those are told of anyway
        line = f"{ledger.repeated:,} earlier tokens were computed again: {REASONS[ledger.reason]}"
        output.console(stderr=True).print(safe(f"{line}; see /stats"), style="dim")


def tokens(count: int) -> str:
    return "1 token" if count == 1 else f"{count:,} tokens"


def _repeated(ledger: "Ledger") -> str:
    return f"; {ledger.repeated:,} of them are of earlier turns" if ledger.repeated else ""


def _share(count: int, budget: "Budget") -> str:
    return f"{tokens(count)} ({count / budget.context:.0%})"


def _turns(count: int) -> str:
    return "the oldest turn" if count == 1 else f"the {count:,} oldest turns"


def _excerpt(text: str | None) -> str:
    shown = cell(text or "")
    return f"“{shown[:EXCERPT]}…”" if len(shown) > EXCERPT else f"“{shown}”"
