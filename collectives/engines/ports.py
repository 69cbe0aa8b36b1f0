"""The ports: when messages pass, where ranks share nothing but what each has for itself.

Every rank has one port out and one port in, which work at the same time; messages pass each
one after the other. So the time of a message follows at once from those before it.

Millions of messages come here: a comparison takes a tenth of the time of a call of `max`.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

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
        if groups is None or groups[sent.rank.number] != groups[sent.message.peer]:
            return self.far
        return self.near

    def cost(self, sent: Sent, way: Way) -> float:
        """How long a message keeps a port busy by itself."""
        seconds = way.first + way.byte * sent.message.nbytes
        if self.chance is not None:
            seconds *= self.chance.stretch(sent.rank.number)
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
        rank, free = sent.rank, sent.rank.port_out
        sent.cost = cost = self.cost(sent, way)
        sent.start = start = earliest if earliest > free else free
        sent.passed = passed = start + cost
        rank.port_out = passed + way.gap
        if passed > rank.ends:
            rank.ends = passed

    def arrive(self, sent: Sent, target: Rank) -> bool:
        """A message that has left goes to the recv that it met; whether its end is known."""
        arrivals = target.arrivals
        entry: Any = sent.start, sent.cost, sent.rank.number, len(arrivals), sent
        arrivals.append(entry)
        return True

    def receive(self, rank: Rank) -> None:
        """The messages of a round pass the port in, in the order in which they left."""
        arrivals, free, taken = rank.arrivals, rank.port_in, rank.taken
        if len(arrivals) > 1:
            arrivals.sort()
        if rank.busy > taken:
            taken = rank.busy
        for start, cost, _, _, sent in arrivals:
            overhead, _, _, gap, latency, _ = self.way(sent)
            start += latency
            port = (start if start > free else free) + cost
            passed = sent.passed + latency  # type: ignore[operator]
            sent.arrived = arrived = port if port > passed else passed
            free = port + gap
            sent.taken = taken = (arrived if arrived > taken else taken) + overhead
        rank.port_in, rank.taken = free, taken
        if taken > rank.ends:
            rank.ends = taken
        arrivals.clear()
