"""What a table says of raw figures: medians, ratios within a round, shares of the bound."""

import pytest

from benchmarks.place import Unavailable, run
from benchmarks.speed import Measured, block
from benchmarks.tools import Result
from benchmarks.workload import DEEP, EMPTY, PREFILL, rates_by_test


def result(prefill, empty, deep, weights=None, per_token=None):
    rates = rates_by_test(prefill, empty, deep)
    return Result(rates, 3 * 2**20, "program 1", weights, per_token)


def cells(measured, program):
    lines = block(measured, "machine").splitlines()
    row = next(line for line in lines if line.startswith(f"| int8 | {program} |"))
    return [cell.strip() for cell in row.split("|")[3:-1]]


@pytest.fixture
def measured():
    """The machine is twice as fast in the second round, and busy with llmcli in the third."""
    return Measured(
        bandwidth_gbs={"int8": [1.0, 2.0, 1.0]},
        results={
            ("int8", "llmcli"): [
                result(100, 4, 2, 10**8, 0),
                result(200, 8, 4, 10**8, 0),
                result(10, 1, 1, 10**8, 0),
            ],
            ("int8", "other"): [result(50, 2, 4), result(100, 4, 8), result(50, 2, 4)],
        },
        dropped={("int4", "other"): "why"},
    )


def test_medians_and_shares(measured) -> None:
    assert cells(measured, "llmcli")[:3] == ["100.0", "4.0 (40%)", "2.0 (20%)"]


def test_a_program_that_tells_no_bytes_has_no_share(measured) -> None:
    assert cells(measured, "other")[:3] == ["50.0", "2.0", "4.0"]


def test_ratios_are_of_the_same_round(measured) -> None:
    assert cells(measured, "other")[3:] == ["2.00", "2.00", "0.50", "3"]
    assert cells(measured, "llmcli")[3:6] == ["", "", ""]


def test_what_was_left_out_is_told(measured) -> None:
    assert "- int4, other: why" in block(measured, "machine")


def test_a_step_reads_weights_and_the_cache_behind_it() -> None:
    made = result(1, 1, 1, weights=1000, per_token=10)
    assert made.step_bytes(EMPTY) == 1000 + 10 * 64
    assert made.step_bytes(DEEP) == 1000 + 10 * (512 + 64)
    assert made.step_bytes(PREFILL) is None


def test_a_child_that_fails_says_what_it_said() -> None:
    with pytest.raises(Unavailable, match=r"ended with 3: .*last words"):
        run(["sh", "-c", "echo last words >&2; exit 3"])


def test_a_child_that_succeeds_hands_over_its_output() -> None:
    done = run(["sh", "-c", "echo first; echo second"])
    assert done.output == "first\nsecond\n"
    assert done.peak_rss_bytes > 0
    assert done.first_output_s > 0
