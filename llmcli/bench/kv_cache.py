"""Generation with and without the KV cache, timed side by side and proven to give the same tokens.

It knows nothing of how the figures are shown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter_ns
from typing import Protocol

import torch
from torch import Tensor

from llmcli.bench.clock import Statistics, distinguishable, interleave, summarize
from llmcli.bench.machine import describe
from llmcli.bench.plan import Case, case_name
from llmcli.bench.report import BenchTest, Comparison, Difference, HeldCache, Report, Setting
from llmcli.core.kernels import one_thread
from llmcli.core.recorded import kernels_of
from llmcli.core.sampling import Sampler
from llmcli.core.sampling_spec import SamplingSpec
from llmcli.engine.generate import decode, prefill
from llmcli.engine.session import Model
from llmcli.engine.timings import Clock, latencies

GREEDY = SamplingSpec(temperature=0)


class Arm(Protocol):
    """One way to run a request: built with the tokens of its depth and the room that all of the
    request will take, then given the rest."""

    def run(self, ids: Sequence[int]) -> Tensor:
        """Run `ids` after all ids so far -> logits (vocab_size,) of what follows."""
        ...

    def held(self) -> HeldCache | None:
        """The cache as it is now, if there is one."""
        ...


class CachedArm:
    """Keeps keys and values: each pass computes its new tokens only. Their memory is there before
    the first is timed."""

    def __init__(self, model: Model, depth_ids: Sequence[int], room: int) -> None:
        self._model = model
        self._cache = model.new_cache()
        self._cache.reserve(room)
        with one_thread():
            self._cache.blank(room)
        if depth_ids:
            prefill(model.decoder, depth_ids, self._cache)

    def run(self, ids: Sequence[int]) -> Tensor:
        if len(ids) == 1:
            return decode(self._model.decoder, ids[0], self._cache)
        return prefill(self._model.decoder, ids, self._cache)

    def held(self) -> HeldCache:
        return HeldCache(
            n_positions=self._cache.length,
            used_bytes=self._cache.used_bytes,
            allocated_bytes=self._cache.nbytes,
            bytes_per_token=self._model.kv_bytes_per_token,
        )


class UncachedArm:
    """Keeps nothing but the ids: each pass computes all of them again."""

    def __init__(self, model: Model, depth_ids: Sequence[int], room: int) -> None:
        self._model = model
        self._ids = list(depth_ids)

    def run(self, ids: Sequence[int]) -> Tensor:
        self._ids += ids
        return prefill(self._model.decoder, self._ids, None)

    def held(self) -> None:
        return None


ARMS: dict[Setting, Callable[[Model, Sequence[int], int], Arm]] = {
    "on": CachedArm,
    "off": UncachedArm,
}


@dataclass(frozen=True)
class Proof:
    """What both arms chose when they ran in step, and how far apart their logits were."""

    tokens: Mapping[Setting, list[int]]
    compared_steps: int
    max_abs_logit_diff: float
    first_difference: Difference | None


@dataclass(frozen=True)
class Run:
    """One timed request: spans in ns, as `engine.timings` defines them."""

    tokens: list[int]
    prefill_ns: int
    first_ns: int | None
    gaps_ns: list[int]
    held_after_prefill: HeldCache | None
    held: HeldCache | None

    @property
    def decode_ns(self) -> int:
        return sum(self.gaps_ns)

    @property
    def total_ns(self) -> int:
        return (self.first_ns or self.prefill_ns) + self.decode_ns


def run(
    model: Model,
    cases: Sequence[Case],
    ids: Sequence[int],
    settings: Sequence[Setting],
    repetitions: int,
    *,
    prompt: str,
    progress: Callable[[str], None] | None = None,
    finished: Callable[[Sequence[BenchTest], Comparison | None], None] | None = None,
) -> Report:
    """Measure every case with the cache "on", "off" or both; `prompt` says where `ids` come from.

    `progress` is told the case's name after each round, the warm-up included, and `finished` a
    case's results. A test that two cases share (`pp64` in pp64+tg16 and pp64+tg32) is reported
    once. Raises GenerationError where the logits are unusable.
    """
    machine = describe(model)
    tests: dict[tuple[str, Setting], BenchTest] = {}
    comparisons: list[Comparison] = []
    for case in cases:
        measured, comparison = _measure(model, case, ids, settings, repetitions, progress)
        new = [test for test in measured if (test.name, test.cache) not in tests]
        tests.update({(test.name, test.cache): test for test in new})
        if comparison is not None:
            comparisons.append(comparison)
        if finished is not None:
            finished(new, comparison)
    return Report(
        model=model.name,
        model_n_params=model.n_parameters,
        model_size=model.nbytes,
        prompt=prompt,
        repetitions=repetitions,
        tests=tuple(tests.values()),
        comparison=tuple(comparisons),
        # Only now is it known whether the pass could be captured.
        machine=replace(machine, kernels=kernels_of(model.decoder)),
    )


def _measure(
    model: Model,
    case: Case,
    ids: Sequence[int],
    settings: Sequence[Setting],
    repetitions: int,
    progress: Callable[[str], None] | None,
) -> tuple[list[BenchTest], Comparison | None]:
    """Time one case. The first round is the warm-up and not timed: both arms run in step, as the
    proof that they agree. There is a comparison where there are two and something is generated."""

    def tell() -> None:
        if progress is not None:
            progress(case.name)

    ids = list(ids[: case.n_start])
    proof = prove(model, case, ids, settings)
    tell()
    runs: dict[Setting, list[Run]] = {setting: [] for setting in settings}
    timed = {setting: partial(_request, model, case, ids, setting) for setting in settings}
    for setting, request in interleave(timed, repetitions):
        runs[setting].append(request)
        if setting == settings[-1]:
            tell()
    tests = [
        test
        for of_all_arms in zip(*(_tests(case, s, runs[s]) for s in settings), strict=True)
        for test in of_all_arms
    ]
    comparison = _compare(case, runs, proof) if len(settings) > 1 and case.n_gen else None
    return tests, comparison


def prove(model: Model, case: Case, ids: Sequence[int], settings: Sequence[Setting]) -> Proof:
    """Run all arms in step, each on its own tokens, and compare them up to the first difference,
    beyond which their texts are no longer the same. One arm alone agrees with itself."""
    arms, prompt = _start(model, case, ids, settings)
    sampler = Sampler(GREEDY)
    tokens: dict[Setting, list[int]] = {setting: [] for setting in settings}
    largest, compared, first = 0.0, 0, None
    passes: dict[Setting, Sequence[int]] = dict.fromkeys(settings, prompt)
    for step in range(max(case.n_gen, 1)):
        logits = {setting: arm.run(passes[setting]) for setting, arm in arms.items()}
        drawn = {setting: sampler.draw(logits[setting], (), ()).token for setting in settings}
        if first is None:
            one, other = logits[settings[0]], logits[settings[-1]]
            largest, compared = max(largest, float((one - other).abs().max())), step + 1
            if len(set(drawn.values())) > 1:
                best, second = torch.topk(logits["on"], 2).values.tolist()
                first = Difference(step, best - second, drawn)
        for setting, token in drawn.items():
            tokens[setting].append(token)
            passes[setting] = [token]
    return Proof(tokens, compared, largest, first)


def _start(
    model: Model, case: Case, ids: Sequence[int], settings: Sequence[Setting]
) -> tuple[dict[Setting, Arm], Sequence[int]]:
    """Each setting's arm with the depth's tokens behind it, and the prompt's, still to be run."""
    depth = case.n_start - case.n_computed
    arms = {setting: ARMS[setting](model, ids[:depth], case.n_context) for setting in settings}
    model.synchronize()
    return arms, ids[depth:]


def _request(model: Model, case: Case, ids: Sequence[int], setting: Setting) -> Run:
    """One timed request. Reading the cache's sizes lies between spans, not within."""
    arms, prompt = _start(model, case, ids, (setting,))
    arm, sampler, clock = arms[setting], Sampler(GREEDY), Clock(model.synchronize)
    tokens: list[int] = []
    start = perf_counter_ns()
    logits = arm.run(prompt)
    clock.prefill = clock.since(start)
    held_after_prefill = arm.held()
    for index in range(case.n_gen):
        if index:
            start = perf_counter_ns()
            logits = arm.run(tokens[-1:])
            clock.forwards.append(clock.since(start))
        start = perf_counter_ns()
        tokens.append(sampler.draw(logits, (), ()).token)
        clock.samples.append(clock.since(start))
    return Run(
        tokens=tokens,
        prefill_ns=clock.prefill,
        first_ns=clock.prefill + clock.samples[0] if tokens else None,
        gaps_ns=clock.gaps(),
        held_after_prefill=held_after_prefill,
        held=arm.held(),
    )


def _tests(case: Case, setting: Setting, runs: Sequence[Run]) -> Iterator[BenchTest]:
    """What one arm's runs say of the prompt, of generation after it, and of both together."""
    n_prompt, n_gen, n_depth = case.n_prompt, case.n_gen, case.n_depth
    if n_prompt:
        prefills = [run.prefill_ns for run in runs]
        key = (n_prompt, 0, n_depth)
        yield _test(key, setting, n_prompt, prefills, runs, runs[0].held_after_prefill)
    if n_gen > 1:
        decodes = [run.decode_ns for run in runs]
        key = (0, n_gen, n_depth + n_prompt)
        yield _test(key, setting, n_gen - 1, decodes, runs, runs[0].held)
    if n_gen and n_prompt:
        totals = [run.total_ns for run in runs]
        key = (n_prompt, n_gen, n_depth)
        yield _test(key, setting, n_prompt + n_gen, totals, runs, runs[0].held)


def _test(
    key: tuple[int, int, int],
    setting: Setting,
    n_tokens: int,
    samples_ns: Sequence[int],
    runs: Sequence[Run],
    held: HeldCache | None,
) -> BenchTest:
    """`n_tokens` are those that the samples' times are for."""
    n_prompt, n_gen, n_depth = key
    samples_ts = [n_tokens / (sample / 1e9) for sample in samples_ns]
    times, rates = summarize(samples_ns), summarize(samples_ts)
    firsts = [run.first_ns / 1e6 for run in runs if run.first_ns is not None]
    gaps = [gap for run in runs for gap in run.gaps_ns]
    return BenchTest(
        name=case_name(n_prompt, n_gen, n_depth),
        cache=setting,
        n_prompt=n_prompt,
        n_gen=n_gen,
        n_depth=n_depth,
        avg_ns=times.mean,
        stddev_ns=times.stddev,
        median_ns=times.median,
        min_ns=times.min,
        p95_ns=times.p95,
        avg_ts=rates.mean,
        stddev_ts=rates.stddev,
        median_ts=rates.median,
        cv=times.cv,
        noisy=times.noisy,
        samples_ns=tuple(samples_ns),
        samples_ts=tuple(samples_ts),
        ttft_ms=summarize(firsts).median if n_prompt and firsts else None,
        itl_ms=latencies(gaps) if n_gen and gaps else None,
        kv_cache=held,
    )


def _compare(case: Case, runs: Mapping[Setting, Sequence[Run]], proof: Proof) -> Comparison:
    prefill_times = _times(runs, lambda run: run.prefill_ns) if case.n_prompt else None
    decode_times = _times(runs, lambda run: run.decode_ns) if case.n_gen > 1 else None
    total_times = _times(runs, lambda run: run.total_ns)
    return Comparison(
        n_prompt=case.n_prompt,
        n_gen=case.n_gen,
        n_depth=case.n_depth,
        speedup=_speedup(decode_times) if decode_times else None,
        speedup_distinguishable=_apart(decode_times) if decode_times else None,
        prefill_speedup=_speedup(prefill_times) if prefill_times else None,
        prefill_distinguishable=_apart(prefill_times) if prefill_times else None,
        total_speedup=_speedup(total_times),
        total_distinguishable=_apart(total_times),
        decode_ns={s: decode_times[s].median for s in decode_times} if decode_times else None,
        tokens_identical=proof.first_difference is None,
        runs_identical=all(
            run.tokens == proof.tokens[setting] for setting in runs for run in runs[setting]
        ),
        compared_steps=proof.compared_steps,
        max_abs_logit_diff=proof.max_abs_logit_diff,
        first_difference=proof.first_difference,
        positions_computed={
            "on": case.positions_with_cache(),
            "off": case.positions_without_cache(),
        },
    )


def _times(
    runs: Mapping[Setting, Sequence[Run]], time: Callable[[Run], int]
) -> dict[Setting, Statistics]:
    return {setting: summarize([time(run) for run in made]) for setting, made in runs.items()}


def _speedup(times: Mapping[Setting, Statistics]) -> float:
    return times["off"].median / times["on"].median


def _apart(times: Mapping[Setting, Statistics]) -> bool | None:
    return distinguishable(times["on"], times["off"])
