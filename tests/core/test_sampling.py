"""The sampler: each stage by its definition, the whole by its frequencies."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcli.core.sampling import (
    FILTERS,
    Mask,
    Sampler,
    add_bias,
    apply_mask,
    best_logprobs,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_counts,
    penalize_repetition,
    trace,
)
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.errors import GenerationError, UsageError

logit_vectors = st.lists(
    st.one_of(st.floats(-20, 20, width=32), st.sampled_from([-1.0, 0.0, 2.0])),
    min_size=1,
    max_size=40,
).map(torch.tensor)


def kept(logits: torch.Tensor) -> list[int]:
    return (logits > -math.inf).nonzero().squeeze(1).tolist()


@given(logit_vectors, st.integers(1, 45))
def test_top_k_keeps_the_k_best_and_of_equals_the_first(logits: torch.Tensor, k: int) -> None:
    best_first = sorted(range(len(logits)), key=lambda i: (-float(logits[i]), i))
    result = keep_top_k(logits, k)
    assert kept(result) == sorted(best_first[:k])
    assert torch.equal(result[kept(result)], logits[kept(result)])


@given(logit_vectors, st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_that_reach_p(logits: torch.Tensor, p: float) -> None:
    result = keep_top_p(logits, p)
    probabilities = torch.softmax(logits.double(), 0)
    chosen = kept(result)
    slack = 1e-5
    assert float(probabilities[chosen].sum()) >= p - slack
    weakest = min(chosen, key=lambda i: float(probabilities[i]))
    if len(chosen) > 1:
        assert float(probabilities[chosen].sum() - probabilities[weakest]) < p + slack
    left_out = set(range(len(logits))) - set(chosen)
    assert all(probabilities[i] <= probabilities[weakest] for i in left_out)


@given(logit_vectors, st.floats(0.01, 1.0))
def test_min_p_keeps_what_is_near_enough_to_the_best(logits: torch.Tensor, p: float) -> None:
    probabilities = torch.softmax(logits.double(), 0)
    chosen = set(kept(keep_min_p(logits, p)))
    for token, probability in enumerate(probabilities / probabilities.max()):
        if abs(float(probability) - p) > 1e-5:
            assert (token in chosen) == (float(probability) >= p)
    assert int(logits.argmax()) in chosen


def test_top_p_of_equals_keeps_the_lower_ids() -> None:
    assert kept(keep_top_p(torch.zeros(10), 0.35)) == [0, 1, 2, 3]


def test_filters_pass_over_what_is_already_ruled_out() -> None:
    logits = torch.tensor([-math.inf, 1.0, -math.inf, 0.0])
    assert kept(keep_top_k(logits, 3)) == [1, 3]
    assert kept(keep_top_p(logits, 0.999)) == [1, 3]
    assert kept(keep_min_p(logits, 0.9)) == [1]


def test_penalties_and_bias_by_their_formulas() -> None:
    logits = torch.tensor([2.0, -2.0, 1.0, 0.5])
    assert penalize_repetition(logits, [0, 1, 1], 2.0).tolist() == [1.0, -4.0, 1.0, 0.5]
    assert penalize_counts(logits, [2, 2, 3], 0.25, 0.5).tolist() == [2.0, -2.0, 0.0, -0.25]
    assert add_bias(logits, {3: 1.5, 0: -100.0}).tolist() == [-math.inf, -2.0, 1.0, 2.0]
    assert logits.tolist() == [2.0, -2.0, 1.0, 0.5]  # stages change nothing in place


def test_the_window_of_the_repetition_penalty() -> None:
    logits = torch.tensor([1.0, 0.9, 0.0])
    greedy = {"temperature": 0.0, "repetition_penalty": 2.0}
    assert Sampler(SamplingSpec(**greedy)).draw(logits, [0], [2]).token == 1
    assert Sampler(SamplingSpec(**greedy, repeat_last_n=1)).draw(logits, [0], [2]).token == 0
    assert Sampler(SamplingSpec(**greedy, repeat_last_n=0)).draw(logits, [0], [0]).token == 0


def test_frequency_counts_the_answer_and_not_the_prompt() -> None:
    sampler = Sampler(SamplingSpec(temperature=0.0, frequency_penalty=1.0))
    assert sampler.draw(torch.tensor([1.0, 0.5]), [0, 0, 0], []).token == 0
    assert sampler.draw(torch.tensor([1.0, 0.5]), [], [0]).token == 1


def test_temperature_zero_is_greedy_and_of_equals_the_first() -> None:
    sampler = Sampler(SamplingSpec(temperature=0.0, top_k=3))
    assert sampler.draw(torch.tensor([0.0, 3.0, 3.0]), [], []).token == 1


def test_a_tiny_temperature_is_as_good_as_greedy() -> None:
    sampler = Sampler(SamplingSpec(temperature=1e-30, top_p=0.9))
    assert sampler.draw(torch.tensor([50.0, 51.0, -3.0]), [], []).token == 1


def test_logprob_is_the_models_own_whatever_the_settings() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0])
    draw = Sampler(SamplingSpec(temperature=0.0, logit_bias={0: 100.0})).draw(logits, [], [])
    assert draw.token == 0
    assert draw.logprob == pytest.approx(float(logits.log_softmax(0)[0]), abs=1e-6)


def test_frequencies_follow_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0, 1.5])
    spec = SamplingSpec(temperature=0.8, top_k=4, top_p=0.95, seed=11)
    sampler = Sampler(spec)
    expected = torch.softmax(keep_top_p(keep_top_k(logits / 0.8, 4), 0.95), 0)
    n = 20_000
    counts = torch.zeros(5)
    for _ in range(n):
        counts[sampler.draw(logits, [], []).token] += 1
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    chi_squared = ((counts - n * expected)[possible] ** 2 / (n * expected)[possible]).sum()
    assert chi_squared < 16.27  # 3 degrees of freedom: exceeded once in a thousand seeds


def test_a_seed_gives_the_same_tokens_and_another_does_not() -> None:
    logits = torch.zeros(100)

    def draws(seed: int | None) -> list[int]:
        sampler = Sampler(SamplingSpec(seed=seed))
        return [sampler.draw(logits, [], []).token for _ in range(30)]

    assert draws(5) == draws(5)
    assert draws(5) != draws(6)
    assert draws(None) != draws(None)


def test_unusable_logits_are_an_error_that_names_the_token() -> None:
    sampler = Sampler(SamplingSpec())
    for bad in (math.nan, math.inf):
        with pytest.raises(GenerationError, match="at token 2"):
            sampler.draw(torch.tensor([0.0, bad]), [], [7, 7])
    forbid_all = Sampler(SamplingSpec(logit_bias={0: -100, 1: -100}))
    with pytest.raises(GenerationError, match="no token is allowed"):
        forbid_all.draw(torch.tensor([0.0, 1.0]), [], [])


@given(logit_vectors, st.integers(0, 2**32))
@settings(max_examples=50)
def test_whatever_the_filters_a_token_is_drawn_that_they_kept(
    logits: torch.Tensor, seed: int
) -> None:
    spec = SamplingSpec(temperature=0.7, top_k=5, top_p=0.6, min_p=0.1, seed=seed)
    token = Sampler(spec).draw(logits, [], []).token
    scaled = (logits - logits.max()) / 0.7
    assert token in kept(keep_min_p(keep_top_p(keep_top_k(scaled, 5), 0.6), 0.1))


@pytest.mark.parametrize(
    "setting",
    [
        {"temperature": -0.1},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"min_p": -0.5},
        {"repetition_penalty": 0.0},
        {"repeat_last_n": -2},
        {"frequency_penalty": math.nan},
        {"presence_penalty": math.inf},
        {"logit_bias": {3: math.nan}},
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(setting))):
        SamplingSpec(**setting)


@pytest.mark.parametrize("temperature", [1e-300, 1e-45, 1e300])
def test_a_temperature_that_fp32_has_no_number_for(temperature: float) -> None:
    spec = SamplingSpec(temperature=temperature, logit_bias={2: -100.0}, seed=1)
    draws = {Sampler(spec).draw(torch.tensor([1.0, 3.0, 9.0]), (), ()).token for _ in range(5)}
    assert draws <= ({1} if temperature < 1 else {0, 1})


@given(
    logit_vectors,
    st.floats(0.1, 3),
    st.integers(0, 8),
    st.floats(0.05, 1),
    st.floats(0, 0.5),
    st.floats(0.5, 2),
)
@settings(max_examples=60)
def test_the_trace_ends_in_what_the_sampler_draws_from(
    logits: torch.Tensor,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    penalty: float,
) -> None:
    bias = {0: 1.5, len(logits) - 1: -2.0}
    spec = SamplingSpec(temperature, top_k, top_p, min_p, penalty, logit_bias=bias, seed=1)
    stages = trace(spec, logits, [0], [0])
    assert list(stages) == ["model", "penalties", "bias", *FILTERS]
    probabilities = torch.softmax(stages["min_p"].double(), 0)

    class Place:  # in place of the random number: what the sampler draws at it
        def __init__(self, place: float) -> None:
            self.place = place

        def __call__(self, *_: object, **__: object) -> torch.Tensor:
            return torch.tensor([self.place], dtype=torch.float64)

    reach = probabilities.cumsum(0)
    for token in kept(stages["min_p"]):
        if probabilities[token] > 1e-4:
            middle = float(reach[token] - probabilities[token] / 2)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch, "rand", Place(middle))
                assert Sampler(spec).draw(logits, [0], [0]).token == token


def test_at_temperature_zero_the_trace_leaves_the_likeliest_alone() -> None:
    spec = SamplingSpec(temperature=0.0, top_p=0.5, logit_bias={1: -100.0})
    stages = trace(spec, torch.tensor([1.0, 9.0, 2.0, 2.0]), [], [])
    assert stages["model"].tolist() == [1.0, 9.0, 2.0, 2.0]
    assert kept(stages["bias"]) == [0, 2, 3]
    assert [kept(stages[name]) for name in FILTERS] == [[2]] * 4


def barring(allowed: list[bool]) -> Mask:
    return Mask(torch.tensor(allowed).float().log())


def test_a_mask_rules_out_and_leaves_the_rest_as_it_is() -> None:
    logits = torch.tensor([3.0, 2.0, 1.0, 0.0])
    masked = apply_mask(logits, barring([False, True, False, True]))
    assert masked.tolist() == [-math.inf, 2.0, -math.inf, 0.0]
    assert logits.tolist() == [3.0, 2.0, 1.0, 0.0]


def test_the_token_that_leads_to_the_end_takes_over_from_the_stop_ids() -> None:
    logits = torch.tensor([3.0, 2.0, 1.0, 0.0])
    mask = replace(barring([False, False, True, True]), ending=3, stop_ids=[0, 1])
    masked = apply_mask(logits, mask)
    probabilities = torch.softmax(logits, 0)
    given = probabilities[[0, 1, 3]].sum() / probabilities[2]
    assert float((masked[3] - masked[2]).exp()) == pytest.approx(float(given), rel=1e-5)
    assert kept(masked) == [2, 3]


@given(logit_vectors, st.data())
@settings(max_examples=50)
def test_only_what_is_allowed_is_drawn(logits: torch.Tensor, data: st.DataObject) -> None:
    flags = st.lists(st.booleans(), min_size=len(logits), max_size=len(logits))
    allowed = data.draw(flags.filter(any))
    mask = barring(allowed)
    spec = SamplingSpec(temperature=data.draw(st.sampled_from([0.0, 1.0])), top_p=0.5, seed=1)
    draw = Sampler(spec).draw(logits, [], [], mask)
    assert allowed[draw.token]
    own = float(logits.double().log_softmax(0)[draw.token])
    assert draw.logprob == pytest.approx(own, abs=1e-5)  # the model's, not what the mask leaves


def test_a_mask_that_allows_nothing_is_an_error() -> None:
    with pytest.raises(GenerationError, match="no token is allowed at token 1"):
        Sampler(SamplingSpec()).draw(torch.zeros(3), [], [5], barring([False] * 3))


@given(logit_vectors, st.integers(1, 45))
def test_the_best_logprobs_are_those_of_the_model(logits: torch.Tensor, k: int) -> None:
    best = best_logprobs(logits, k)
    assert [token for token, _ in best] == sorted(
        range(len(logits)), key=lambda token: (-float(logits[token]), token)
    )[:k]
    logprobs = logits.double().log_softmax(0)
    assert [logprob for _, logprob in best] == pytest.approx(
        [float(logprobs[token]) for token, _ in best], abs=1e-5
    )
