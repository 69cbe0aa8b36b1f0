"""What messages cost where they share nothing but the ports of their ranks, for many at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from collectives.engines.batches import Messages
from collectives.engines.simulator import Clock


class Way(NamedTuple):
    overhead: float
    first: float
    byte: float
    gap: float
    latency: float
    handshake: float


class Law(NamedTuple):
    """The ways of a machine."""

    far: Any
    near: Any
    groups: Any  # of each rank; None where all are equally far
    gamma: float
    eager: float

    @property
    def thinks(self) -> bool:
        return bool(self.far.overhead or self.near.overhead)

    def ways(self, messages: Messages, which: Any = slice(None)) -> Any:
        """What some of these messages cost."""
        if self.groups is None:
            return self.far
        near = self.groups[messages.source[which]] == self.groups[messages.dest[which]]
        return Way(*[np.where(near, a, b) for a, b in zip(self.near, self.far)])


def flat(clock: Clock, eager: float = float("inf")) -> Law:
    way = Way(0.0, clock.alpha, clock.beta, 0.0, 0.0, 0.0)
    return Law(way, way, None, clock.gamma, eager)
