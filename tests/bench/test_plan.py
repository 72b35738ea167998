"""Lists as llama-bench reads them, its names, and how many positions a case computes."""

import pytest

from llmcli.bench.plan import Case, parse_counts, plan
from llmcli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("64", (64,)),
        ("64,128", (64, 128)),
        ("0", (0,)),
        ("16-64*2", (16, 32, 64)),
        ("16-100*2", (16, 32, 64)),
        ("16-64+16", (16, 32, 48, 64)),
        ("1-4", (1, 2, 3, 4)),
        ("8, 16-32*2,8", (8, 16, 32)),
        ("5-5+0", None),
        ("16-64*1", None),
        ("0-64*2", None),
        ("64-16", None),
        ("1-1000000000+1", None),
        ("1-999999999", None),
        ("", None),
        ("64,", None),
        ("-1", None),
        ("1e3", None),
        ("16-64/2", None),
        ("٣", None),
    ],
)
def test_lists(text, counts):
    if counts is not None:
        assert parse_counts(text, "--n-prompt") == counts
        return
    with pytest.raises(UsageError, match="--n-prompt"):
        parse_counts(text, "--n-prompt")


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (Case(64, 0), "pp64"),
        (Case(0, 64), "tg64"),
        (Case(64, 32), "pp64+tg32"),
        (Case(64, 32, 128), "pp64+tg32 @ d128"),
    ],
)
def test_names_are_those_of_llama_bench(case, name):
    assert case.name == name


def test_every_combination_is_planned():
    assert [case.name for case in plan([8, 16], [4], [0, 2], 64)] == [
        "pp8+tg4",
        "pp16+tg4",
        "pp8+tg4 @ d2",
        "pp16+tg4 @ d2",
    ]


def test_a_case_may_fill_the_context_and_not_more():
    assert plan([40], [20], [4], 64)[0].n_context == 64
    with pytest.raises(UsageError, match=r"pp40\+tg21 @ d4 needs 65 tokens.* 64"):
        plan([16, 40], [21], [4], 64)


@pytest.mark.parametrize("generations", [[0], [1]])
def test_an_empty_case_is_refused(generations):
    with pytest.raises(UsageError, match="nothing to measure"):
        plan([0, 8], generations, [0], 64)


@pytest.mark.parametrize(
    "case", [Case(64, 64), Case(5, 3, 7), Case(0, 8), Case(0, 8, 16), Case(9, 0, 2), Case(1, 1)]
)
def test_positions_are_those_of_the_passes_counted_one_by_one(case):
    context = max(case.n_depth + case.n_prompt, 1)
    with_cache, without = max(case.n_prompt, 1), context
    for _ in range(1, case.n_gen):
        context += 1
        with_cache += 1
        without += context
    assert case.positions_with_cache() == with_cache
    assert case.positions_without_cache() == without
