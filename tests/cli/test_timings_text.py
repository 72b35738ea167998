"""Figures for people: enough digits and a unit, on lines that fit."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from llmcli.cli.timings_text import figure, footer, kv_size, rate
from llmcli.engine.timings import Latencies, Timings

TIMINGS = Timings(
    load_s=0.3,
    prompt_tokens=412,
    cached_tokens=374,
    new_prompt_tokens=38,
    prefill_ms=181.8,
    prefill_tps=209.0,
    ttfa_ms=None,
    ttft_ms=186.0,
    decode_tokens=128,
    decode_ms=5981.0,
    decode_tps=21.4,
    decode_tps_llamacpp=21.6,
    itl_ms=Latencies(p50=46.2, p95=51.4, p99=60.0, max=80.0),
    forward_ms=5900.0,
    sample_ms=80.0,
    detok_ms=1.0,
    e2e_ms=6167.0,
    e2e_tps=20.9,
    kv_bytes=13 * 2**20,
    kv_bytes_per_token=23_040,
    peak_rss_bytes=600 * 2**20,
    peak_device_bytes=None,
)
LINE = (
    "prefill 412 tok (374 reused) · 182 ms · 209 tok/s | TTFT 0.19 s | "
    "decode 128 tok · 21.4 tok/s · ITL p50 46 p95 51 ms | ctx 578/8192 (7%) · KV 13 MiB"
)


def shown(width: int) -> list[str]:
    screen = io.StringIO()
    Console(file=screen, width=width, highlight=False).print(footer(TIMINGS, 578, 8192))
    return screen.getvalue().splitlines()


def test_the_footer_is_one_line_where_it_fits():
    assert shown(200) == [LINE]


def test_a_first_token_that_comes_at_once_has_a_time():
    groups = footer(replace(TIMINGS, ttft_ms=4.2), 578, 8192).groups
    assert groups[1] == "TTFT 0.004 s"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_footer_breaks_between_groups(width):
    lines = shown(width)
    assert len(lines) > 1
    assert max(map(len, lines)) <= width
    assert " | ".join(lines) == LINE


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (0.42, "0.42"), (4.21, "4.2"), (46.4, "46"), (4200, "4,200")]
)
def test_figures(value, text):
    assert figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.26, "0.3 tok/s"), (21.44, "21.4 tok/s"), (99.96, "100 tok/s")]
)
def test_rates(value, text):
    assert rate(value) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "off"),
        (768, "0.75 KiB"),
        (43_520, "42 KiB"),
        (2_726_298, "2.6 MiB"),
        (2**30, "1,024 MiB"),
    ],
)
def test_cache_sizes(n_bytes, text):
    assert kv_size(n_bytes) == text
