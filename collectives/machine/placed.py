"""A machine with p ranks on it: where each rank is, and which links its messages pass."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from typing import Any, NamedTuple

from collectives.errors import ArgumentError

from .networks import Network

BLOCK, CYCLIC, RANDOM = "block", "cyclic", "random"


class Link(NamedTuple):
    """A link of one direction: its name, its rate in bytes a second, and its burst in bytes."""

    name: str
    rate: float
    burst: int = 0


class Placed:
    """A machine with p ranks on it.

    Attributes
    ----------
    slots : tuple of int
        The place of each rank: its node's number times ranks a node, plus its place there.
    groups : tuple of int
        The number of each rank's node.
    links : list of Link
        All that ranks may share: the NICs of each node, out and in, its memory if that has a
        rate, and the links of the network. Those without a limit are not among them.
    """

    def __init__(self, machine: Any, network: Network, p: int):
        self.machine, self.network = machine, network
        nodes = network.nodes or -(-p // machine.ranks)
        self.slots = tuple(_slots(machine, nodes, p))
        self.groups = tuple([slot // machine.ranks for slot in self.slots])
        self._nics = [slot % machine.ranks * machine.nics // machine.ranks for slot in self.slots]
        self.links: list[Link] = []
        self._nic = self._add(machine.nic, nodes * machine.nics, self._nic_names, machine.burst)
        self._memory = self._add(machine.memory, nodes, lambda i: [f"memory of node {i}"])
        names = network.links
        self._first = self._add(machine.link, len(names), lambda i: [names[i]])
        self.route = cache(self._route)

    def nic(self, rank: int) -> int:
        """Which of the NICs of its node a rank uses."""
        return self._nics[rank]

    def _add(self, rate: float, number: int, names, burst: int = 0) -> int | None:
        """Add links of one kind, if they have a limit; returns the number of the first."""
        if rate == float("inf"):
            return None
        first = len(self.links)
        self.links += [Link(name, rate, burst) for i in range(number) for name in names(i)]
        return first

    def _nic_names(self, number: int) -> list[str]:
        node, nic = divmod(number, self.machine.nics)
        name = f"NIC {nic} of node {node}" if self.machine.nics > 1 else f"NIC of node {node}"
        return [f"{name}, out", f"{name}, in"]

    def _route(self, source: int, dest: int) -> tuple[int, ...]:
        """The links that a message from one rank to another one passes: numbers into `links`."""
        here, there = self.groups[source], self.groups[dest]
        if here == there:
            return () if self._memory is None else (self._memory + here,)
        way: list[int] = []
        if self._first is not None:
            way = [self._first + link for link in self.network.route(here, there)]
        if self._nic is not None:
            out, into = (
                self._nic + 2 * (node * self.machine.nics + self._nics[rank])
                for node, rank in ((here, source), (there, dest))
            )
            way = [out, *way, into + 1]
        return tuple(way)


def _slots(machine: Any, nodes: int, p: int) -> list[int]:
    """Where each rank is: node times ranks a node, plus its place there."""
    ranks, placement = machine.ranks, machine.placement
    if isinstance(placement, tuple):
        return _listed(placement, nodes * ranks, p)
    if placement == BLOCK:
        return list(range(p))
    if placement == CYCLIC:
        return [rank % nodes * ranks + rank // nodes for rank in range(p)]
    draw = random.Random(int(str(placement).partition(":")[2]))
    return sorted(range(nodes * ranks), key=lambda _: draw.random())[:p]


def _listed(placement: tuple[int, ...], slots: int, p: int) -> list[int]:
    """The slots that the user gives."""
    if len(placement) < p:
        raise ArgumentError(
            f"machine: placement must have a place for each of {p} ranks, got {len(placement)}"
        )
    listed = list(placement[:p])
    twice = [slot for slot, times in Counter(listed).items() if times > 1 or slot >= slots]
    if twice:
        raise ArgumentError(
            f"machine: placement must be different places from 0 to {slots - 1}, got {twice[0]}"
            + (" twice" if twice[0] < slots else "")
        )
    return listed
