"""One token's candidates through the sampler's stages, for people.

It knows how they are worded, and nothing of how they are computed.
"""

from typing import TYPE_CHECKING

from llmcli.cli.table import Row, cell

if TYPE_CHECKING:
    from llmcli.core.sampling_spec import SamplingSpec
    from llmcli.views.next_token import Candidate, NextToken

SMALLEST = 0.0001
COLUMNS = {"temperature": "temp", "top_k": "top-k", "top_p": "top-p", "min_p": "min-p"}


def percent(share: float) -> str:
    """`91.2%`; `<0.01%` for what is smaller than that and yet possible."""
    if 0 < share < SMALLEST:
        return "<0.01%"
    return f"{share:.2%}" if share < 0.1 else f"{share:.1%}"


def why_tables(view: "NextToken", sampling: "SamplingSpec") -> list[list[Row]]:
    """The candidates as tables, the fullest first: with all stages, with those that do something,
    and with fewer columns still."""
    off = [name for name in view.order if not _settings(name, sampling)]
    on = tuple(name for name in view.order if name not in off)
    return [
        _table(view, view.order, ids=True),
        _table(view, on, ids=True),
        _table(view, on, ids=False),
    ]


def why_lines(view: "NextToken", sampling: "SamplingSpec") -> list[str]:
    """The order of the stages with their settings, and what they did to the whole vocabulary."""
    last, size = view.order[-1], view.left["model"]
    entropy = view.entropy_bits
    stages = [_stage(name, view, sampling) for name in view.order]
    end = "the likeliest, nothing is drawn" if view.greedy else "draw"
    lines = [
        f"order: {' → '.join([*stages, end])}",
        f"entropy {entropy['model']:.2f} bits before, {entropy[last]:.2f} after; "
        f"{view.left[last]:,} of {size:,} tokens could come",
    ]
    if view.computed_tokens > 1:
        lines.append(f"{view.computed_tokens:,} tokens were computed again to show this")
    return lines


def _table(view: "NextToken", stages: tuple[str, ...], *, ids: bool) -> list[Row]:
    head = ("id", "logit") if ids else ()
    names = (COLUMNS.get(name, name) for name in stages)
    rows: list[Row] = [("#", "token", *head, "model", *names, "")]
    for one in view.candidates:
        logit = "-inf" if one.logit is None else f"{one.logit:.2f}"
        numbers = (str(one.id), logit) if ids else ()
        shares = (_after(one, name) for name in stages)
        rows.append(
            (str(one.rank), cell(one.label), *numbers, percent(one.p), *shares, _mark(one, view))
        )
    return rows


def _after(candidate: "Candidate", stage: str) -> str:
    share = candidate.stages[stage]
    return percent(share) if share else "-"


def _mark(candidate: "Candidate", view: "NextToken") -> str:
    if candidate.drawn:
        return "← taken" if view.greedy else "← drawn"
    return "" if candidate.kept else "cut"


def _stage(name: str, view: "NextToken", sampling: "SamplingSpec") -> str:
    settings, shown = _settings(name, sampling), COLUMNS.get(name, name)
    shown = "temperature" if name == "temperature" else shown
    if not settings:
        return f"{shown} off"
    kept = f" keeps {view.left[name]:,}" if name in ("top_k", "top_p", "min_p") else ""
    if kept and not view.greedy:
        kept += f", {percent(view.mass[name])}"
    return f"{shown} {settings}{kept}"


def _settings(name: str, sampling: "SamplingSpec") -> str:
    """What a stage is set to; nothing where it does nothing."""
    if name == "penalties":
        penalties = (
            ("repetition", sampling.repetition_penalty, 1),
            ("frequency", sampling.frequency_penalty, 0),
            ("presence", sampling.presence_penalty, 0),
        )
        return ", ".join(f"{what} {value:g}" for what, value, none in penalties if value != none)
    if name == "bias":
        return f"on {len(sampling.logit_bias)}" if sampling.logit_bias else ""
    if name == "temperature":
        return "" if sampling.temperature == 1 else f"{sampling.temperature:g}"
    value = getattr(sampling, name, None)
    is_off = sampling.temperature == 0 or value == (1 if name == "top_p" else 0)
    return "" if is_off or value is None else f"{value:g}"
