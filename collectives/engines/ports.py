"""The ports: when messages pass, where ranks share nothing but what each has for itself.

Every rank has one port out and one port in, which work at the same time; messages pass each
one after the other. So the time of a message follows at once from those before it.
"""

from __future__ import annotations

import math

from collectives.engines.postings import Rank, Sent
from collectives.machine.clock import Way
from collectives.machine.model import Machine
from collectives.machine.placed import Placed


class Ports:
    """When messages pass the ports of their ranks.

    Parameters
    ----------
    machine : Machine
    placed : Placed or None
        The machine with all ranks on it, if it has nodes.
    """

    pending = False  # whether anything is under way of which the end is not known

    def __init__(self, machine: Machine, placed: Placed | None):
        self.far = machine.way()
        self.near = machine.way(near=True)
        self.groups = placed.groups if placed is not None and self.near != self.far else None

    def when(self) -> float:
        """The time of the next event: there are none, because every end is known."""
        return math.inf

    def step(self) -> None:
        """Let happen what happens at that time."""

    def way(self, sent: Sent) -> Way:
        """What a message costs on its way."""
        groups = self.groups
        if groups is None or groups[sent.rank.process.rank] != groups[sent.message.peer]:
            return self.far
        return self.near

    def leave(self, sent: Sent) -> None:
        """Eager: a message goes to the port out at once."""
        rank, way = sent.rank, self.way(sent)
        rank.busy += way.overhead
        sent.cost = way.first + way.byte * sent.message.nbytes
        sent.start = start = max(rank.busy, rank.port_out)
        sent.passed = passed = start + sent.cost
        rank.port_out = passed + way.gap
        rank.ends = max(rank.ends, passed)

    def arrive(self, sent: Sent, target: Rank) -> bool:
        """A message that left at once meets its recv; returns whether its end is known."""
        assert sent.start is not None
        target.arrivals.append((sent.start, len(target.arrivals), sent))
        return True

    def meet(self, sent: Sent, target: Rank) -> bool:
        """Rendezvous: a message and its recv have found each other; whether its end is known."""
        source, way = sent.rank, self.way(sent)
        sent.cost = way.first + way.byte * sent.message.nbytes
        source.busy += way.overhead
        begin = max(source.busy, target.busy) + way.handshake
        sent.start = start = max(begin, source.port_out, target.port_in)
        self.finish(sent, target, start + sent.cost, way)
        return True

    def finish(self, sent: Sent, target: Rank, passed: float, way: Way) -> None:
        """A message that waited for its recv has passed both ports."""
        source = sent.rank
        sent.passed = passed
        sent.arrived = arrived = passed + way.latency
        source.port_out, target.port_in = passed + way.gap, arrived + way.gap
        source.ends = max(source.ends, passed)
        target.busy = max(target.busy, arrived) + way.overhead
        target.ends = max(target.ends, target.busy, arrived)

    def receive(self, rank: Rank) -> None:
        """Messages that left at once pass the port in, in the order in which they left."""
        rank.arrivals.sort()
        for start, _, sent in rank.arrivals:
            way = self.way(sent)
            port = max(start + way.latency, rank.port_in) + sent.cost
            sent.arrived = arrived = max(port, sent.passed + way.latency)  # type: ignore[operator]
            rank.port_in = port + way.gap
            rank.busy = max(rank.busy, arrived) + way.overhead
            rank.ends = max(rank.ends, arrived, rank.busy)
        rank.arrivals.clear()
