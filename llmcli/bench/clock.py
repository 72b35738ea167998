"""Repeated measurements: interleaving, statistics, and what is only noise.

It knows nothing of what is measured.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from llmcli.engine.timings import percentile

NOISY = 0.05  # a coefficient of variation above this is flagged

Name = TypeVar("Name")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Statistics:
    """Of `n` samples, in their unit. `stddev` is that of a sample (n - 1); `cv` is stddev / mean.
    Both are None for a single sample, which says nothing of its spread."""

    n: int
    mean: float
    stddev: float | None
    median: float
    min: float
    p95: float
    cv: float | None

    @property
    def noisy(self) -> bool:
        """Whether the samples vary by more than `NOISY`."""
        return self.cv is not None and self.cv > NOISY


def summarize(samples: Sequence[float]) -> Statistics:
    """Statistics of at least one positive sample."""
    mean = statistics.fmean(samples)
    stddev = statistics.stdev(samples) if len(samples) > 1 else None
    return Statistics(
        n=len(samples),
        mean=mean,
        stddev=stddev,
        median=percentile(samples, 0.5),
        min=min(samples),
        p95=percentile(samples, 0.95),
        cv=None if stddev is None else stddev / mean,
    )


def distinguishable(one: Statistics, other: Statistics) -> bool | None:
    """Whether the means differ by more than twice the root of the summed variances.

    None where a single sample leaves the spread unknown.
    """
    if one.stddev is None or other.stddev is None:
        return None
    return abs(one.mean - other.mean) > 2 * math.hypot(one.stddev, other.stddev)


def interleave(
    arms: Mapping[Name, Callable[[], Result]], repetitions: int
) -> Iterator[tuple[Name, Result]]:
    """Run every arm once, then every arm again: what drifts meanwhile meets all of them alike."""
    for _ in range(repetitions):
        for name, run in arms.items():
            yield name, run()
