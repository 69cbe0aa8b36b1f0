"""What runs next: passes over the cells in random order, within a budget of seconds.

In every pass each cell that still needs it runs once, so whatever disturbs the
machine disturbs all of them alike, and no cell gets many repetitions before the
others got a few. Cells to be compared run one right after the other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import numpy as np

from .statistics import summarise

MINIMUM = 6  # the fewest that bound a median with 95 % confidence
ENOUGH = 20  # repetitions after which a precise median may end a cell
MAXIMUM = 300
PRECISION = 0.05


class Schedule:
    """Rank 0's plan of the measurement.

    Parameters
    ----------
    groups : sequence of sequence of int
        The cells' indices; those of one group are compared with each other.
    deadline : float
        When to stop, on `clock`.
    seed : int
        Of the order.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        deadline: float,
        seed: int,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.groups = [list(group) for group in groups]
        self.deadline = deadline
        self.clock = clock
        self.random = random.Random(seed)
        self.samples: dict[int, list[float]] = {i: [] for group in groups for i in group}
        self.warm_up: dict[int, list[float]] = {}
        self.cost: dict[int, float] = dict.fromkeys(self.samples, 0.0)
        self.passes = 0
        self.finished: set[int] = set()

    def next_pass(self) -> list[int]:
        """The cells of the next pass, in order; none when it is time to stop."""
        pending = [[i for i in group if i not in self.finished] for group in self.groups]
        pending = [group for group in pending if group]
        self.random.shuffle(pending)
        left = self.deadline - self.clock()
        chosen = []
        for group in pending:
            self.random.shuffle(group)
            left -= sum(self.cost[i] for i in group)
            if left < 0 and self.passes:
                break
            chosen += group
        return chosen

    def record(self, order: Sequence[int], times: np.ndarray, costs: np.ndarray) -> None:
        """Keep the times of a pass and what it cost to take them, in seconds.

        The first pass, which always runs, warms up.
        """
        self.passes += 1
        for i, seconds, cost in zip(order, times, costs):
            kept = self.samples[i] if self.passes > 1 else self.warm_up.setdefault(i, [])
            kept.append(float(seconds) * 1e6)
            self.cost[i] = cost if self.passes == 1 else (self.cost[i] + cost) / 2
        self.finished |= {i for i in order if self._enough(self.samples[i])}

    def taken(self) -> dict[int, list[float]]:
        """Microseconds of all repetitions; where time allowed none, of the warm-up."""
        return {i: samples or self.warm_up.get(i, []) for i, samples in self.samples.items()}

    @staticmethod
    def _enough(samples: list[float]) -> bool:
        if len(samples) < ENOUGH:
            return False
        return len(samples) >= MAXIMUM or summarise(np.array(samples)).spread <= PRECISION
