"""Chance: noise and late ranks, drawn from a seed, so that a run can be repeated."""

from __future__ import annotations

import random

from .model import Machine


class Chance:
    """What a machine leaves to chance on p ranks.

    Every rank draws numbers of its own, in the order in which it needs them: what one rank
    does changes nothing for the others.
    """

    def __init__(self, machine: Machine, p: int):
        self.noise = machine.noise
        self._late = machine.late
        self._draws = [random.Random(f"{machine.seed} {rank}") for rank in range(p)]

    def late(self) -> dict[int, float]:
        """Seconds after which each rank begins."""
        return {rank: self._exponential(rank, self._late) for rank in range(len(self._draws))}

    def stretch(self, rank: int) -> float:
        """How many times as long the next message or reduction of a rank takes."""
        return 1 + self._exponential(rank, self.noise)

    def _exponential(self, rank: int, mean: float) -> float:
        return mean * self._draws[rank].expovariate(1) if mean else 0.0
