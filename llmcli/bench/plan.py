"""Which tests are run: lists of lengths as they are typed, and the cases they make.

It knows the names that llama-bench gives to tests, and nothing of models or time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from llmcli.errors import UsageError

MOST_VALUES = 1_000  # longer lists are slips of the hand

_NUMBER = "[0-9]{1,9}"
_RANGE = re.compile(
    f"(?P<first>{_NUMBER})(-(?P<last>{_NUMBER})((?P<sign>[+*])(?P<step>{_NUMBER}))?)?"
)


@dataclass(frozen=True)
class Case:
    """`n_prompt` tokens processed after `n_depth` others, then `n_gen` tokens generated."""

    n_prompt: int
    n_gen: int
    n_depth: int = 0

    @property
    def name(self) -> str:
        return case_name(self.n_prompt, self.n_gen, self.n_depth)

    @property
    def n_start(self) -> int:
        """Tokens in place when the first one is drawn. Generation needs one to start from."""
        return max(self.n_depth + self.n_prompt, 1)

    @property
    def n_computed(self) -> int:
        """Prompt tokens that the timed prefill computes with a cache; the rest is its depth.
        The last token is always computed: its logits give the first token."""
        return max(self.n_prompt, 1)

    @property
    def n_context(self) -> int:
        """Tokens when all is done."""
        return self.n_start + self.n_gen

    def positions_with_cache(self) -> int:
        """Positions computed in timed passes: the prompt, then one for each token but the last,
        which no pass follows."""
        return self.n_computed + max(self.n_gen - 1, 0)

    def positions_without_cache(self) -> int:
        """The same where every pass recomputes all tokens before it."""
        passes = max(self.n_gen, 1)
        return passes * self.n_start + passes * (passes - 1) // 2


def case_name(n_prompt: int, n_gen: int, n_depth: int) -> str:
    """`pp64`, `tg64` or `pp64+tg64`, with ` @ d128` where other tokens come before."""
    prompt, generation = f"pp{n_prompt}" if n_prompt else "", f"tg{n_gen}" if n_gen else ""
    name = "+".join(filter(None, (prompt, generation)))
    return f"{name} @ d{n_depth}" if n_depth else name


def parse_counts(text: str, option: str) -> tuple[int, ...]:
    """`64,128`, `16-64*2` (16, 32, 64) or `16-64+16` (16, 32, 48, 64), each number once.

    Raises UsageError, naming `option`, for anything else.
    """
    values: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise UsageError(
                f"{option} {text!r}: {part.strip()!r} is no count and no range of counts",
                hint="like 64 or 64,128 or 16-64*2 or 16-64+16",
            )
        values += _expand(match, f"{option} {text!r}")
        if len(values) > MOST_VALUES:
            raise UsageError(f"{option} {text!r}: more than {MOST_VALUES:,} values")
    return tuple(dict.fromkeys(values))


def _expand(match: "re.Match[str]", where: str) -> list[int]:
    first = int(match["first"])
    last = int(match["last"] or first)
    step = int(match["step"] or 1)
    if last < first:
        raise UsageError(f"{where}: the range ends before it begins")
    grows = step > 1 and first > 0 if match["sign"] == "*" else step > 0
    if not grows:
        raise UsageError(f"{where}: the range never gets from {first} to {last}")
    values = [first]
    while len(values) <= MOST_VALUES:
        following = values[-1] * step if match["sign"] == "*" else values[-1] + step
        if following > last:
            break
        values.append(following)
    return values


def plan(
    prompts: Sequence[int], generations: Sequence[int], depths: Sequence[int], context: int
) -> list[Case]:
    """Every combination. Raises UsageError where one is empty or does not fit the context."""
    cases = [Case(n, g, d) for d, n, g in product(depths, prompts, generations)]
    if any(not case.n_prompt and case.n_gen < 2 for case in cases):
        raise UsageError(
            "--n-prompt 0 with --n-gen 0 or 1 leaves nothing to measure",
            hint="generation is timed from its second token on",
        )
    largest = max(cases, key=lambda case: case.n_context)
    if largest.n_context > context:
        raise UsageError(
            f"{largest.name} needs {largest.n_context:,} tokens, and the context holds {context:,}",
            hint="lower --n-prompt, --n-gen or --n-depth, or raise --ctx-size if the model "
            "allows more",
        )
    return cases
