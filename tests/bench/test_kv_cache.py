"""Both arms against each other, the proof against planted faults, and the figures' definitions."""

import dataclasses

import pytest
import torch

from llmcli.bench import kv_cache
from llmcli.bench.kv_cache import CachedArm, Run, UncachedArm, prove, run
from llmcli.bench.plan import Case
from llmcli.bench.prompt import random_ids
from llmcli.core import kernels
from llmcli.core.captured import CapturedStep
from llmcli.reports import to_plain

BOTH = ("on", "off")
LLAMA_BENCH_KEYS = ("n_prompt", "n_gen", "n_depth", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts")


def bench(model, *cases, settings=BOTH, repetitions=2, **callbacks):
    ids = random_ids(model.tokenizer, model.decoder.config.vocab_size, 100)
    return run(model, cases, ids, settings, repetitions, prompt="random", **callbacks)


@pytest.mark.parametrize(
    "case", [Case(12, 20), Case(12, 20, 9), Case(0, 20), Case(0, 20, 9), Case(1, 2), Case(70, 3)]
)
def test_both_arms_give_the_same_tokens(model, case):
    (comparison,) = bench(model, case).comparison
    assert comparison.tokens_identical
    assert comparison.runs_identical
    assert comparison.first_difference is None
    assert comparison.compared_steps == case.n_gen
    assert 0 <= comparison.max_abs_logit_diff < 1e-4


def test_the_kernels_are_told_that_ran(model, monkeypatch):
    monkeypatch.setattr(kernels, "_chosen", "torch")
    assert bench(model, Case(4, 3)).machine.kernels == "torch"
    graph = CapturedStep(model.decoder, lambda compute, device: compute)
    monkeypatch.setattr(model.decoder, "captured", graph)
    assert bench(model, Case(4, 3)).machine.kernels == "cuda graph"


def test_arms_are_the_forward_pass(model):
    """Either arm gives, step for step, the logits that one pass over the whole text gives."""
    ids = random_ids(model.tokenizer, model.decoder.config.vocab_size, 15)
    with torch.inference_mode():
        whole = model.decoder(torch.tensor([ids]))[0]
    for make in (CachedArm, UncachedArm):
        arm = make(model, ids[:4], 15)
        got = [arm.run(ids[4:10]), *(arm.run([id]) for id in ids[10:])]
        torch.testing.assert_close(torch.stack(got), whole[9:], atol=1e-4, rtol=1e-4)


class Planted(CachedArm):
    """At its fourth pass another token wins by exactly 0.5."""

    passes = 0

    def run(self, ids):
        self.passes += 1
        logits = super().run(ids).clone()
        if self.passes == 4:
            logits[logits.argmin()] = logits.max() + 0.5
        return logits


class Forgetful(CachedArm):
    """Loses the last position of the prompt: a typical fault of caches."""

    def run(self, ids):
        logits = super().run(ids)
        if len(ids) > 1:
            self._cache.truncate(self._cache.length - 1)
        return logits


def test_the_proof_finds_a_planted_token(model, monkeypatch):
    monkeypatch.setitem(kv_cache.ARMS, "on", Planted)
    (comparison,) = bench(model, Case(12, 10)).comparison
    assert not comparison.tokens_identical
    assert comparison.compared_steps == 4  # logits after it are of different texts
    assert comparison.first_difference.step == 3
    assert comparison.first_difference.margin == pytest.approx(0.5, abs=1e-5)
    tokens = comparison.first_difference.tokens
    assert set(tokens) == {"on", "off"} and tokens["on"] != tokens["off"]
    assert comparison.max_abs_logit_diff > 0.5
    assert comparison.runs_identical  # each arm repeats its own


def test_the_proof_finds_a_cache_that_forgets(model, monkeypatch):
    monkeypatch.setitem(kv_cache.ARMS, "on", Forgetful)
    (comparison,) = bench(model, Case(12, 10)).comparison
    assert comparison.max_abs_logit_diff > 1e-2


def test_a_timed_run_that_strays_is_noticed(model, monkeypatch):
    made = []

    def stray_in_the_second_round(model, ids, room):
        made.append(Planted if len(made) == 2 else CachedArm)
        return made[-1](model, ids, room)

    monkeypatch.setitem(kv_cache.ARMS, "on", stray_in_the_second_round)
    (comparison,) = bench(model, Case(12, 10)).comparison
    assert made == [CachedArm, CachedArm, Planted]  # the warm-up and two timed rounds
    assert comparison.tokens_identical
    assert not comparison.runs_identical


def test_end_of_text_is_generated_past(model):
    """Every token ends the text here, and still all are made."""
    ids = random_ids(model.tokenizer, model.decoder.config.vocab_size, 8)
    proof = prove(model, Case(8, 12), ids, BOTH)
    ending = dataclasses.replace(model, stop_ids=frozenset(proof.tokens["on"]))
    again = prove(ending, Case(8, 12), ids, BOTH)
    assert len(again.tokens["on"]) == len(again.tokens["off"]) == 12
    assert again.tokens == proof.tokens


def test_kv_bytes_follow_from_the_config(model):
    config = model.decoder.config
    per_token = 2 * config.n_layers * config.n_kv_heads * config.d_head * 4
    tests = {(t.name, t.cache): t for t in bench(model, Case(12, 20, 9)).tests}
    lengths = {"pp12 @ d9": 21, "tg20 @ d21": 40, "pp12+tg20 @ d9": 40}
    assert {name for name, _ in tests} == set(lengths)
    for name, length in lengths.items():
        held = tests[name, "on"].kv_cache
        assert held.n_positions == length  # the last token is drawn and not run
        assert held.bytes_per_token == per_token
        assert held.used_bytes == per_token * length
        assert held.allocated_bytes == per_token * 64
        assert tests[name, "off"].kv_cache is None


def test_figures_follow_their_definitions():
    one = Run([1, 2, 3], 40_000_000, 50_000_000, [10_000_000, 30_000_000], None, None)
    two = Run([1, 2, 3], 60_000_000, 70_000_000, [20_000_000, 40_000_000], None, None)
    prefill, decode, both = kv_cache._tests(Case(8, 3), "off", [one, two])
    assert (prefill.name, decode.name, both.name) == ("pp8", "tg3 @ d8", "pp8+tg3")
    assert prefill.samples_ns == (40_000_000, 60_000_000)
    assert prefill.samples_ts == pytest.approx((200, 8 / 0.06))
    assert prefill.ttft_ms == both.ttft_ms == pytest.approx(60)
    assert prefill.itl_ms is None and decode.ttft_ms is None
    assert decode.samples_ns == (40_000_000, 60_000_000)
    assert decode.samples_ts == pytest.approx((2 / 0.04, 2 / 0.06))  # N - 1 tokens
    assert (decode.itl_ms.p50, decode.itl_ms.max) == (25, 40)
    assert both.samples_ns == (90_000_000, 130_000_000)
    assert both.samples_ts == pytest.approx((11 / 0.09, 11 / 0.13))
    assert both.avg_ns == 110_000_000
    assert both.stddev_ns == pytest.approx(2**0.5 * 20_000_000)
    assert both.noisy


def test_speedup_is_the_ratio_of_median_decode_times():
    def runs(decodes):
        return [Run([1, 2], 5, 6, [decode], None, None) for decode in decodes]

    made = {"on": runs([10, 11, 30]), "off": runs([44, 43, 90])}
    proof = kv_cache.Proof({"on": [1, 2], "off": [1, 2]}, 2, 0.0, None)
    comparison = kv_cache._compare(Case(4, 2), made, proof)
    assert comparison.speedup == 4
    assert comparison.decode_ns == {"on": 11, "off": 44}
    assert comparison.prefill_speedup == 1
    assert comparison.prefill_distinguishable is False
    assert comparison.total_speedup == 50 / 17


def test_keys_are_those_that_others_rely_on(model):
    plain = to_plain(bench(model, Case(6, 4), repetitions=3))
    assert plain["schema"] == "bench/1"
    for test in plain["tests"]:
        assert {"name", "cache", "samples_ns", "samples_ts", *LLAMA_BENCH_KEYS} <= set(test)
        assert test["cache"] in BOTH
        assert len(test["samples_ns"]) == len(test["samples_ts"]) == 3
        assert all(isinstance(sample, int) and sample > 0 for sample in test["samples_ns"])
    assert [(test["name"], test["cache"]) for test in plain["tests"]] == [
        (name, cache) for name in ("pp6", "tg4 @ d6", "pp6+tg4") for cache in BOTH
    ]
    (comparison,) = plain["comparison"]
    assert comparison["positions_computed"] == {"on": 9, "off": 6 + 7 + 8 + 9}
    assert comparison["speedup"] > 0
    assert plain["model_size"] == 4 * plain["model_n_params"]


def test_one_repetition_leaves_the_noise_unknown(model):
    report = bench(model, Case(6, 4), repetitions=1)
    assert all(test.stddev_ns is None and test.cv is None for test in report.tests)
    assert report.comparison[0].speedup_distinguishable is None


def test_one_arm_is_compared_with_nothing(model):
    report = bench(model, Case(6, 4), settings=("off",))
    assert [test.name for test in report.tests] == ["pp6", "tg4 @ d6", "pp6+tg4"]
    assert report.comparison == ()


def test_undefined_figures_are_left_out(model):
    assert [t.name for t in bench(model, Case(6, 0), settings=("on",)).tests] == ["pp6"]
    assert [t.name for t in bench(model, Case(0, 4), settings=("on",)).tests] == ["tg4"]
    report = bench(model, Case(6, 1))
    assert {test.name for test in report.tests} == {"pp6", "pp6+tg1"}
    assert report.comparison[0].speedup is None
    assert report.comparison[0].tokens_identical


def test_a_test_that_cases_share_is_reported_once(model):
    rounds, results = [], []
    report = bench(
        model,
        Case(6, 4),
        Case(6, 5),
        progress=rounds.append,
        finished=lambda tests, comparison: results.append((len(tests), comparison.n_gen)),
    )
    names = [test.name for test in report.tests if test.cache == "on"]
    assert names == ["pp6", "tg4 @ d6", "pp6+tg4", "tg5 @ d6", "pp6+tg5"]
    assert rounds == ["pp6+tg4"] * 3 + ["pp6+tg5"] * 3
    assert results == [(6, 4), (4, 5)]
