"""What one request took: spans on a clock that stands still while text is decoded or shown.

It knows nothing of how tokens are made. Definitions: `ttft` from the request's start to the first
token, `ttfa` to the first that is not thinking; decode counts the N - 1 tokens after the first,
whose time belongs to prefill.
"""

import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns


@dataclass(frozen=True)
class Latencies:
    """Percentiles of the gaps between tokens, in ms."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class Timings:
    """Counts, times in ms (`_ms`), rates in tokens per second (`_tps`), sizes in bytes.

    None where a figure is undefined: no rate without time, no gap with fewer than two tokens.
    """

    load_s: float
    prompt_tokens: int
    cached_tokens: int
    new_prompt_tokens: int
    prefill_ms: float
    prefill_tps: float | None
    ttft_ms: float | None
    ttfa_ms: float | None
    decode_tokens: int
    decode_ms: float
    decode_tps: float | None
    decode_tps_llamacpp: float | None
    itl_ms: Latencies | None
    forward_ms: float
    sample_ms: float
    detok_ms: float
    e2e_ms: float
    e2e_tps: float | None
    kv_bytes: int
    kv_bytes_per_token: int
    peak_rss_bytes: int
    peak_device_bytes: int | None


@dataclass
class Clock:
    """Collects one request's spans in ns; `synchronize` waits for the device to be done."""

    synchronize: Callable[[], None]
    started: int = field(default_factory=perf_counter_ns)
    tokenized: int = 0
    prefill: int = 0
    forwards: list[int] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    detokenize: int = 0
    first_answer: int | None = None  # the index of the first token that is not thinking

    def since(self, start: int) -> int:
        """Nanoseconds since `start` (a `perf_counter_ns`), the device's work included."""
        self.synchronize()
        return perf_counter_ns() - start

    def gaps(self) -> list[int]:
        """For every token but the first, the time of the pass and the draw that made it."""
        return [
            forward + sample
            for forward, sample in zip(self.forwards, self.samples[1:], strict=False)
        ]

    def report(
        self,
        *,
        load_s: float,
        prompt_tokens: int,
        cached_tokens: int,
        kv_bytes: int,
        kv_bytes_per_token: int,
        peak_device_bytes: int | None,
    ) -> Timings:
        """The figures so far, by the definitions above."""
        new, gaps, tokens = prompt_tokens - cached_tokens, self.gaps(), len(self.samples)
        decode = sum(gaps)
        thinking = gaps[: self.first_answer] if self.first_answer is not None else None
        first = (self.tokenized - self.started) + self.prefill + sum(self.samples[:1])
        return Timings(
            load_s=load_s,
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            new_prompt_tokens=new,
            prefill_ms=self.prefill / 1e6,
            prefill_tps=_rate(new, self.prefill),
            ttft_ms=first / 1e6 if tokens else None,
            ttfa_ms=(first + sum(thinking)) / 1e6 if thinking is not None else None,
            decode_tokens=len(gaps),
            decode_ms=decode / 1e6,
            decode_tps=_rate(len(gaps), decode),
            decode_tps_llamacpp=_rate(tokens, decode) if gaps else None,
            itl_ms=latencies(gaps) if gaps else None,
            forward_ms=sum(self.forwards) / 1e6,
            sample_ms=sum(self.samples) / 1e6,
            detok_ms=self.detokenize / 1e6,
            e2e_ms=(first + decode) / 1e6,
            e2e_tps=_rate(tokens, first + decode) if tokens else None,
            kv_bytes=kv_bytes,
            kv_bytes_per_token=kv_bytes_per_token,
            peak_rss_bytes=peak_rss_bytes(),
            peak_device_bytes=peak_device_bytes,
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The `share` (0..1) quantile of `values`, interpolated linearly between neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def peak_rss_bytes() -> int:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def latencies(gaps: Sequence[int]) -> Latencies:
    """Percentiles of gaps in ns, at least one."""
    milliseconds = [gap / 1e6 for gap in gaps]
    p50, p95, p99 = (percentile(milliseconds, share) for share in (0.5, 0.95, 0.99))
    return Latencies(p50, p95, p99, max(milliseconds))


def _rate(count: int, nanoseconds: int) -> float | None:
    return count / (nanoseconds / 1e9) if count and nanoseconds else None
