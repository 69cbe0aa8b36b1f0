"""The ports: when messages pass, where ranks share nothing but what each has for itself.

Every rank has one port out and one port in, which work at the same time; messages pass each
one after the other. So the time of a message follows at once from those before it.

Millions of messages come here: a comparison takes a tenth of the time of a call of `max`.
"""

from __future__ import annotations

import math
from collections import Counter

from collectives.engines.postings import Posting, Rank
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

    def start(self, sent: Posting) -> Way:
        """A rank's CPU starts a message; what that costs on its way."""
        rank, groups = sent.rank, self.groups
        far = groups is None or groups[rank.number] != groups[sent.peer]
        sent.way = way = self.far if far else self.near
        rank.busy += way.overhead
        return way

    def cost(self, sent: Posting) -> float:
        """How long a message keeps a port busy by itself."""
        seconds = sent.way.first + sent.way.byte * sent.nbytes
        if self.chance is not None:
            seconds *= self.chance.stretch(sent.rank.number)
        return seconds

    def leave(self, sent: Posting) -> None:
        """Eager: a message goes to the port out at once."""
        self.start(sent)
        self._pass(sent, sent.rank.busy)

    def meet(self, sent: Posting, target: Rank) -> bool:
        """Rendezvous: a message and its recv have met; whether its end is known."""
        self._pass(sent, self._met(sent, target))
        return self.arrive(sent, target)

    def _met(self, sent: Posting, target: Rank) -> float:
        """When a message may leave that has waited for its recv."""
        way = self.start(sent)
        return max(sent.rank.busy, target.now) + way.handshake

    def _pass(self, sent: Posting, earliest: float) -> None:
        """A message passes the port out, when that is free."""
        rank, way = sent.rank, sent.way
        free = rank.port_out
        sent.cost = cost = self.cost(sent)
        sent.start = start = earliest if earliest > free else free
        sent.passed = passed = start + cost
        rank.port_out = passed + way.gap
        if passed > rank.ends:
            rank.ends = passed

    def arrive(self, sent: Posting, target: Rank) -> bool:
        """A message that has left goes to the recv that it met; whether its end is known."""
        target.arrivals.append(sent)
        return True

    def receive(self, rank: Rank) -> None:
        """The messages of a round pass the port in, in the order in which they left."""
        arrivals, free, taken = rank.arrivals, rank.port_in, rank.taken
        if len(arrivals) > 1:
            arrivals.sort(key=departure)
        if rank.busy > taken:
            taken = rank.busy
        for sent in arrivals:
            overhead, _, _, gap, latency, _ = sent.way
            start = sent.start + latency
            port = (start if start > free else free) + sent.cost
            passed = sent.passed + latency
            sent.arrived = arrived = port if port > passed else passed
            free = port + gap
            sent.taken = taken = (arrived if arrived > taken else taken) + overhead
        rank.port_in, rank.taken = free, taken
        if taken > rank.ends:
            rank.ends = taken
        arrivals.clear()


def departure(sent: Posting) -> tuple[float, float, int]:
    """Messages pass a port in by when they left; of two at once, the quicker one first."""
    return sent.start, sent.cost, sent.rank.number
