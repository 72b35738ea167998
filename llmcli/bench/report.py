"""What a benchmark reports, as frozen data. It knows neither how it is measured nor how it looks.

Keys that llama-bench has are spelled as it spells them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from llmcli.bench.clock import Statistics, summarize
from llmcli.bench.machine import Machine
from llmcli.engine.timings import Latencies

Setting = Literal["on", "off"]


@dataclass(frozen=True)
class HeldCache:
    """A KV cache at the end of a test: `used_bytes` hold `n_positions`, `allocated_bytes` is what
    it has room for."""

    n_positions: int
    used_bytes: int
    allocated_bytes: int
    bytes_per_token: int


@dataclass(frozen=True)
class BenchTest:
    """One test with one setting of the cache.

    `_ns` are times in nanoseconds, `_ts` rates in tokens per second; `cv` is that of the times.
    `ttft_ms` is the median time to the first token, `itl_ms` are the gaps between tokens of all
    repetitions together. None: undefined for this test, or for a single repetition.
    """

    name: str
    cache: Setting
    n_prompt: int
    n_gen: int
    n_depth: int
    avg_ns: float
    stddev_ns: float | None
    median_ns: float
    min_ns: float
    p95_ns: float
    avg_ts: float
    stddev_ts: float | None
    median_ts: float
    cv: float | None
    noisy: bool
    samples_ns: tuple[int, ...]
    samples_ts: tuple[float, ...]
    ttft_ms: float | None
    itl_ms: Latencies | None
    kv_cache: HeldCache | None

    def statistics(self) -> Statistics:
        """Of the times."""
        return summarize(self.samples_ns)


@dataclass(frozen=True)
class Difference:
    """The first step at which the two arms chose different tokens. `margin` lies between the two
    best logits of the arm with the cache at that step."""

    step: int
    margin: float
    tokens: Mapping[Setting, int]


@dataclass(frozen=True)
class Comparison:
    """With the cache against without, on the same prompt.

    Speed-ups are ratios of median times, without over with: `speedup` is that of decoding, whose
    median times are `decode_ns`. Each `_distinguishable` says whether the means differ by more
    than the noise; None where a single repetition leaves that unknown, or there is no such time.
    `max_abs_logit_diff` is taken over the logits of the first `compared_steps` steps, the last of
    which is the first that differs, if one does. `runs_identical` says whether every timed run
    repeated the tokens of its arm.
    """

    n_prompt: int
    n_gen: int
    n_depth: int
    speedup: float | None
    speedup_distinguishable: bool | None
    prefill_speedup: float | None
    prefill_distinguishable: bool | None
    total_speedup: float
    total_distinguishable: bool | None
    decode_ns: Mapping[Setting, float] | None
    tokens_identical: bool
    runs_identical: bool
    compared_steps: int
    max_abs_logit_diff: float
    first_difference: Difference | None
    positions_computed: Mapping[Setting, int]


@dataclass(frozen=True)
class Report:
    """A whole benchmark. `model_size` is in bytes, as the weights lie in memory; `prompt` says
    where the prompt's ids came from."""

    schema: ClassVar[str] = "bench/1"

    model: str
    model_n_params: int
    model_size: int
    prompt: str
    repetitions: int
    tests: tuple[BenchTest, ...]
    comparison: tuple[Comparison, ...]
    machine: Machine
