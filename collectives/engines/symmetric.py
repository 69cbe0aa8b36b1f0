"""One rank for all: the time of an algorithm that is the same seen from every rank.

The algorithm runs once, for `Anyone`. If that comes to its end, all ranks begin and end
their rounds together, under a clock for which all pairs of ranks are alike: what one
sends to the rank d to its right, it gets from the rank d to its left at the same time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from collectives.algorithms.language.steps import recv, reduce, send
from collectives.engines.anyone import Anyone, AnyPhantom, Joined, Unlike
from collectives.engines.driver import PHANTOMS, Message, Process, Round
from collectives.engines.endless import Guard
from collectives.engines.law import Law
from collectives.errors import CollectiveError

# Rounds beyond four for each rank; who has more is looked at again by the simulator.
MOST = 50_000


@dataclass(frozen=True)
class Share:
    """What each of all ranks did, as in `Run`."""

    finished: float
    messages: int
    bytes_sent: int
    bytes_received: int
    reductions: int
    bytes_reduced: int


class Beat(NamedTuple):
    """A round of all ranks.

    Attributes
    ----------
    sends : tuple of tuple of int
        How far away the peer of each message is, and its bytes. A peer that is not above 0
        is at the rank whose number differs in these bits.
    work : int
        Bytes that each rank reduces.
    reductions : int
    copied : int
        Bytes that each rank copies.
    """

    sends: tuple[tuple[int, int], ...]
    work: int
    reductions: int
    copied: int = 0

    def peers(self, ranks: np.ndarray, distance: int) -> np.ndarray:
        """The peer of each rank."""
        return (ranks + distance) % ranks.size if distance > 0 else ranks ^ -distance


# Bytes that all ranks copy before and after the messages of a round, by its number.
Copied = Mapping[int, tuple[int, int]]
NOTHING: Copied = {}


def run_once(
    title: str, p: int, generator: Iterator, law: Law, copied: Copied = NOTHING
) -> Share | None:
    """Run an algorithm for anyone; None if it is not the same for all ranks, or is wrong.

    Parameters
    ----------
    title : str
        Full name of the algorithm.
    p : int
        Number of ranks.
    generator : iterator
        What the algorithm returned for `Anyone(p)` and buffers of anyone's.
    law : Law
        By which all ranks are equally far from each other.
    copied : mapping, optional
        Bytes that each rank copies before and after the messages of a round, by its number.
    """
    return _run(_Everybody(_Process(title, 0, p, generator, True), law, copied))


def record_once(
    title: str, p: int, generator: Iterator, law: Law, copied: Copied = NOTHING
) -> list[Beat] | None:
    """What all ranks do in each round; None if it is not the same, as in `run_once`."""
    all_ranks = _Recorded(_Process(title, 0, p, generator, True), law, copied)
    return None if _run(all_ranks) is None else all_ranks.beats


def _run(all_ranks: _Everybody) -> Share | None:
    try:
        with Guard() as guard:
            return all_ranks.run(guard)
    except (Unlike, CollectiveError):  # what is wrong is for the simulator to say
        return None


PHANTOMS.add(AnyPhantom)


class _Process(Process):
    """Anyone's run: the peer of a message is how far away it is."""

    __slots__ = ()

    def _message(self, step: send | recv, buf: Any, peer: Any) -> Message:
        if type(peer) is not Anyone or peer.p != self.p:
            raise Unlike
        views = (buf,) if type(buf) is AnyPhantom else self._views(step, buf)
        return Message(views, peer.peer)

    def _views(self, step: Any, buf: Any) -> tuple:
        return super()._views(step, buf.whole if type(buf) is Joined else buf)


class _Everybody:
    """All ranks, who are always at the same point."""

    def __init__(self, process: _Process, law: Law, copied: Copied):
        self.process, self.law, self.copied = process, law, copied
        self.now = self.port_out = self.port_in = 0.0
        self.met = 0  # messages of this round that waited for their recvs
        self.messages = self.bytes_sent = self.bytes_received = 0
        self.reductions = self.bytes_reduced = 0
        # When messages that have not been taken began and ended to pass the port out.
        self.sent: dict[int, deque[tuple[float, float, Message]]] = defaultdict(deque)

    def run(self, guard: Guard) -> Share:
        """Run to the end.

        Raises
        ------
        Unlike
            Ranks differ, wait for each other or leave a message over, or there is no end.
        """
        most = MOST + 4 * self.process.p
        while (round_ := self.process.advance()) is not None:
            before, after = self.copied.get(self.process.number, (0, 0))
            if round_.sends or round_.recvs:
                self._exchange(round_.sends, round_.recvs, self.law.delta * before)
            self.now += self.law.delta * after
            self._end(round_)
            for step in round_.local:
                if type(step) is reduce:
                    self.reductions += 1
                    self.bytes_reduced += step.out.nbytes
                    self.now += self.law.gamma * step.out.nbytes
            if guard.late or self.process.rounds > most:
                raise Unlike
        if any(self.sent.values()):
            raise Unlike
        sent = self.messages, self.bytes_sent
        return Share(self.now, *sent, self.bytes_received, self.reductions, self.bytes_reduced)

    def _end(self, round_: Round) -> None:
        """The messages of a round have moved."""

    def _exchange(self, sends: list[Message], recvs: list[Message], packing: float) -> None:
        """What goes out after so many seconds, and what comes in at the same time."""
        way = self.law.far
        busy = taken = ends = self.now + packing
        self.met = 0
        for message in sends:
            nbytes = message.nbytes
            self.messages += 1
            self.bytes_sent += nbytes
            if nbytes > self.law.eager:
                taken = ends = self._meet(message, busy, sends, recvs)
                continue
            busy += way.overhead
            start = max(busy, self.port_out)
            passed = start + way.first + way.byte * nbytes
            self.port_out = passed + way.gap
            self.sent[message.peer].append((start, passed, message))
            ends = max(ends, passed)
        arrivals = [self._take(message) for message in recvs if message.nbytes <= self.law.eager]
        if len(arrivals) + self.met < len(recvs):
            raise Unlike  # all wait for each other
        if arrivals:
            arrivals.sort()
            taken = max(taken, busy)
        for start, cost, passed in arrivals:
            port = max(start + way.latency, self.port_in) + cost
            arrived = max(port, passed + way.latency)
            self.port_in = port + way.gap
            taken = max(taken, arrived) + way.overhead
        self.now = max(ends, taken)

    def _take(self, posted: Message) -> tuple[float, float, float]:
        """When the message for a recv began to pass the port out, for how long, and until when."""
        queue = self.sent[self._back(posted.peer)]
        if not queue:
            raise Unlike  # all wait for each other
        start, passed, message = queue.popleft()
        self._check(message, posted)
        return start, passed - start, passed

    def _meet(
        self, message: Message, busy: float, sends: list[Message], recvs: list[Message]
    ) -> float:
        """Rendezvous: when a message that waits for its recv, in this round, has been taken."""
        way = self.law.far
        if len(sends) > 1 or len(recvs) != 1:
            raise Unlike  # which message comes first is not the same for all ranks
        if self._back(recvs[0].peer) != message.peer or self.sent[message.peer]:
            raise Unlike
        self._check(message, recvs[0])
        self.met += 1
        start = max(busy + way.overhead + way.handshake, self.port_out)
        cost = way.first + way.byte * message.nbytes
        passed, port = start + cost, max(start + way.latency, self.port_in) + cost
        self.port_out, self.port_in = passed + way.gap, port + way.gap
        return max(port, passed + way.latency) + way.overhead

    def _back(self, peer: int) -> int:
        """The way from a peer to oneself: as many steps the other way, or the same bits."""
        return -peer % self.process.p if peer > 0 else peer

    def _check(self, message: Message, posted: Message) -> None:
        """Whether a message and a recv fit."""
        nbytes = posted.nbytes
        self.bytes_received += nbytes
        if nbytes != message.nbytes or (nbytes and message.views[0].dtype != posted.views[0].dtype):
            raise Unlike


class _Recorded(_Everybody):
    """Notes what happens."""

    def __init__(self, process: _Process, law: Law, copied: Copied):
        super().__init__(process, law, copied)
        self.beats: list[Beat] = []

    def _end(self, round_: Round) -> None:
        sends = tuple([(message.peer, message.nbytes) for message in round_.sends])
        work = [step.out.nbytes for step in round_.local if type(step) is reduce]
        copied = sum(self.copied.get(self.process.number, (0, 0)))
        self.beats.append(Beat(sends, sum(work), len(work), copied))
