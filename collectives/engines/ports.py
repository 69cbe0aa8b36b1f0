"""The ports: when messages pass, where ranks share nothing but what each has for itself.

Every rank has one port out and one port in, which work at the same time; messages pass each
one after the other. So the time of a message follows at once from those before it.
"""

from __future__ import annotations

import math
from collections import Counter

from collectives.engines.postings import Rank, Sent
from collectives.machine.chance import Chance
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
    chance : Chance or None
        Stretches messages, if the machine has noise.
    """

    pending = False  # whether anything is under way of which the end is not known

    def __init__(self, machine: Machine, placed: Placed | None, chance: Chance | None = None):
        self.chance = chance
        self.loads: Counter[int] = Counter()  # bytes that passed each shared link
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

    def cost(self, sent: Sent, way: Way) -> float:
        """How long a message keeps a port busy by itself."""
        seconds = way.first + way.byte * sent.message.nbytes
        if self.chance is not None:
            seconds *= self.chance.stretch(sent.rank.process.rank)
        return seconds

    def leave(self, sent: Sent) -> None:
        """Eager: a message goes to the port out at once."""
        rank, way = sent.rank, self.way(sent)
        rank.busy += way.overhead
        self._pass(sent, rank.busy, way)

    def meet(self, sent: Sent, target: Rank) -> bool:
        """Rendezvous: a message and its recv have met; whether its end is known."""
        self._pass(sent, self._met(sent, target), self.way(sent))
        return self.arrive(sent, target)

    def _met(self, sent: Sent, target: Rank) -> float:
        """When a message may leave that has waited for its recv."""
        source, way = sent.rank, self.way(sent)
        source.busy += way.overhead
        return max(source.busy, target.now) + way.handshake

    def _pass(self, sent: Sent, earliest: float, way: Way) -> None:
        """A message passes the port out, when that is free."""
        rank = sent.rank
        sent.cost = self.cost(sent, way)
        sent.start = start = max(earliest, rank.port_out)
        sent.passed = passed = start + sent.cost
        rank.port_out = passed + way.gap
        rank.ends = max(rank.ends, passed)

    def arrive(self, sent: Sent, target: Rank) -> bool:
        """A message that has left goes to the recv that it met; whether its end is known."""
        assert sent.start is not None
        tie = sent.rank.process.rank, len(target.arrivals)
        target.arrivals.append((sent.start, sent.cost, *tie, sent))
        return True

    def receive(self, rank: Rank) -> None:
        """The messages of a round pass the port in, in the order in which they left."""
        rank.arrivals.sort()
        rank.taken = max(rank.taken, rank.busy)
        for start, *_, sent in rank.arrivals:
            way = self.way(sent)
            port = max(start + way.latency, rank.port_in) + sent.cost
            sent.arrived = arrived = max(port, sent.passed + way.latency)  # type: ignore[operator]
            rank.port_in = port + way.gap
            rank.taken = sent.taken = max(rank.taken, arrived) + way.overhead
        rank.ends = max(rank.ends, rank.taken)
        rank.arrivals.clear()
