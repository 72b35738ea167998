"""Timings by their definitions, on spans written down by hand."""

import pytest

from llmcli.engine.timings import Clock, Latencies, Timings, percentile


def report(clock: Clock, **counts: int) -> Timings:
    given = {"prompt_tokens": 10, "cached_tokens": 4, "kv_bytes": 0, "kv_bytes_per_token": 0}
    return clock.report(load_s=0.5, peak_device_bytes=None, **{**given, **counts})


def make_clock(forwards: list[int], samples: list[int]) -> Clock:
    clock = Clock(synchronize=lambda: None, started=0)
    clock.tokenized, clock.prefill = 2_000_000, 30_000_000
    clock.forwards, clock.samples = forwards, samples
    return clock


def test_rates_leave_the_first_token_to_prefill() -> None:
    ms = 1_000_000
    timings = report(make_clock([9 * ms, 19 * ms, 9 * ms], [1 * ms] * 4))
    assert timings.new_prompt_tokens == 6
    assert timings.prefill_ms == 30
    assert timings.prefill_tps == pytest.approx(6 / 0.030)
    assert timings.ttft_ms == 2 + 30 + 1
    assert timings.decode_tokens == 3
    assert timings.decode_ms == 10 + 20 + 10
    assert timings.decode_tps == pytest.approx(3 / 0.040)
    assert timings.decode_tps_llamacpp == pytest.approx(4 / 0.040)
    assert timings.itl_ms == Latencies(
        p50=10, p95=pytest.approx(19), p99=pytest.approx(19.8), max=20
    )
    assert timings.e2e_ms == 33 + 40
    assert timings.e2e_tps == pytest.approx(4 / 0.073)
    assert (timings.forward_ms, timings.sample_ms) == (37, 4)


def test_one_token_has_no_decode_rate() -> None:
    timings = report(make_clock([], [1_000_000]))
    assert timings.decode_tokens == 0
    assert timings.decode_tps is None
    assert timings.decode_tps_llamacpp is None
    assert timings.itl_ms is None
    assert timings.ttft_ms == 33


def test_no_token_has_no_time_to_first_token() -> None:
    timings = report(make_clock([], []))
    assert timings.ttft_ms is None
    assert timings.e2e_tps is None


def test_a_pass_without_its_token_is_no_gap() -> None:
    timings = report(make_clock([5_000_000, 7_000_000], [1_000_000, 1_000_000]))
    assert timings.decode_tokens == 1  # interrupted between the second pass and its draw
    assert timings.decode_ms == 6


def test_percentiles_interpolate_between_neighbours() -> None:
    assert percentile([4, 1, 3, 2], 0.5) == 2.5
    assert percentile([7], 0.99) == 7
    assert percentile(list(range(101)), 0.95) == 95
