"""From repetitions to a few numbers, without assuming how they are distributed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """The repetitions of one cell, in microseconds.

    Attributes
    ----------
    reps : int
    minimum, median, p95, maximum : float
    low, high : float
        A 95 % confidence interval of the median; unbounded below six repetitions.
    """

    reps: int
    minimum: float
    median: float
    p95: float
    maximum: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half the width of the interval, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def summarise(samples: np.ndarray) -> Summary:
    """Boil down at least one repetition."""
    ordered = np.sort(samples)
    outside = outside_interval(ordered.size)
    low, high = -math.inf, math.inf
    if outside:
        low, high = ordered[outside - 1], ordered[-outside]
    return Summary(
        ordered.size,
        float(ordered[0]),
        float(np.median(ordered)),
        float(np.percentile(ordered, 95)),
        float(ordered[-1]),
        float(low),
        float(high),
    )


@cache
def outside_interval(n: int) -> int:
    """Which smallest and largest of n ordered samples bound the median.

    The k-th smallest and the k-th largest enclose the median unless fewer than k
    samples fall on one side of it, as many coin flips tell: no other assumption.
    0 if even the extremes are not sure enough.
    """
    tail, k = 0.0, 0
    while True:
        tail += math.comb(n, k) / 2**n
        if 2 * tail > 1 - CONFIDENCE:
            return k
        k += 1


def marks(summaries: Mapping[str, Summary]) -> dict[str, str]:
    """Mark the fastest, if the samples tell which it is.

    Returns
    -------
    dict
        `*` for the one whose interval lies below all others. Where there is none,
        `~` for the one with the lowest median and for those that it overlaps. None
        at all if there is nothing to compare or too little to tell.
    """
    if len(summaries) < 2 or any(math.isinf(one.high) for one in summaries.values()):
        return {}
    best = min(summaries, key=lambda name: summaries[name].median)
    rivals = [
        name for name in summaries if name != best and summaries[name].low <= summaries[best].high
    ]
    return {name: "~" for name in [best, *rivals]} if rivals else {best: "*"}


def fitted(sizes: ArrayLike, times: ArrayLike) -> tuple[float, float]:
    """The line `start + slope * size` with the least squares of the relative errors."""
    x, y = np.asarray(sizes, float), np.asarray(times, float)
    (start, slope), *_ = np.linalg.lstsq(np.stack([1 / y, x / y], axis=1), np.ones_like(y))
    return float(start), float(slope)
