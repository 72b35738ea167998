"""Statistics against numbers worked out by hand, and the order in which arms take turns."""

import pytest

from llmcli.bench.clock import distinguishable, interleave, summarize


def test_statistics_of_known_numbers():
    found = summarize([2, 4, 4, 4, 5, 5, 7, 9])
    assert found.n == 8
    assert found.mean == 5
    assert found.stddev == pytest.approx((32 / 7) ** 0.5, rel=1e-15)  # n - 1, not n: that gives 2
    assert found.median == 4.5
    assert found.min == 2
    assert found.p95 == pytest.approx(8.3)  # 0.95 x 7 = 6.65: between 7 and 9
    assert found.cv == pytest.approx((32 / 7) ** 0.5 / 5)
    assert found.noisy


def test_a_single_sample_has_no_spread():
    found = summarize([3])
    assert (found.mean, found.median, found.min, found.p95) == (3, 3, 3, 3)
    assert found.stddev is None and found.cv is None
    assert not found.noisy


def test_five_percent_is_the_bound_of_noise():
    assert not summarize([95, 100, 105]).noisy  # sd 5, mean 100: exactly 5%
    assert summarize([94.9, 100, 105.1]).noisy


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ([9, 10, 11], [9.5, 10.5, 11.5], False),
        ([9, 10, 11], [12, 13, 14], True),  # 3 apart; twice the noise is 2 x sqrt(2) = 2.83
        ([9, 10, 11], [11.8, 12.8, 13.8], False),  # 2.8 apart
        ([10], [9, 10, 11], None),
    ],
)
def test_what_can_be_told_apart(one, other, apart):
    assert distinguishable(summarize(one), summarize(other)) is apart
    assert distinguishable(summarize(other), summarize(one)) is apart


def test_arms_take_turns():
    calls = []
    arms = {name: lambda name=name: calls.append(name) or len(calls) for name in "AB"}
    assert list(interleave(arms, 3)) == [("A", 1), ("B", 2), ("A", 3), ("B", 4), ("A", 5), ("B", 6)]
    assert calls == list("ABABAB")
