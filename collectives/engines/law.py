"""What messages cost where they share nothing but the ports of their ranks, for many at once."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from collectives.engines.batches import Messages
from collectives.machine.clock import Way
from collectives.machine.model import Machine


class Law(NamedTuple):
    """When messages pass the ports: the numbers that `ports` computes with.

    Attributes
    ----------
    far, near : Way
        Between ranks of two groups, and of one.
    groups : numpy.ndarray or None
        The group of each rank; None if all are equally far from each other.
    gamma : float
        Seconds a byte reduced.
    eager : float
        Bytes up to which a message leaves at once; longer ones wait for their recv.
    delta : float
        Seconds a byte copied or packed.
    """

    far: Way
    near: Way
    groups: np.ndarray | None
    gamma: float
    eager: float
    delta: float = 0.0

    def ways(self, messages: Messages, which: Any = slice(None)) -> Any:
        """What some of these messages cost: a number, or one for each message, of each kind."""
        if self.groups is None:
            return self.far
        near = self.groups[messages.source[which]] == self.groups[messages.dest[which]]
        choices: Any = [np.where(near, a, b) for a, b in zip(self.near, self.far)]
        return Way(*choices)


def law_of(machine: Machine, p: int, rendezvous: bool) -> Law | None:
    """The law of a machine; None if there is more to it than ports.

    Parameters
    ----------
    machine : Machine
    p : int
        Number of ranks.
    rendezvous : bool
        All sends wait for their recv.
    """
    if machine.shares or machine.noise or machine.late:
        return None
    far, near, placed = machine.way(), machine.way(near=True), machine.at(p)
    groups = None
    if placed is not None and near != far and len(set(placed.groups)) < p:
        groups = np.array(placed.groups)
    limit = math.inf if machine.eager is None else machine.eager
    eager = -1 if rendezvous else limit
    return Law(far, near, groups, machine.clock.gamma, eager, machine.delta)
