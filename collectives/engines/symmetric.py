"""One rank for all: the time of an algorithm that is the same seen from every rank.

The algorithm runs once, for `Anyone`. If that comes to its end, all ranks begin and end
their rounds together, under a clock for which all pairs of ranks are alike: what one
sends to the rank d to its right, it gets from the rank d to its left at the same time.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from collectives.algorithms.language.steps import recv, send
from collectives.engines.anyone import Anyone, Joined, Unlike
from collectives.engines.driver import Message, Process
from collectives.engines.endless import Guard
from collectives.engines.simulator import FREE, Clock
from collectives.errors import CollectiveError


@dataclass(frozen=True)
class Share:
    """What each of all ranks did, as in `Run`."""

    finished: float
    messages: int
    bytes_sent: int
    bytes_received: int
    reductions: int
    bytes_reduced: int


def run_once(
    title: str, p: int, generator: Iterator, clock: Clock, eager: float = math.inf
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
    clock : Clock
    eager : float
        Bytes up to which a message leaves at once; longer ones wait for their recv.
    """
    try:
        with Guard():
            return _Everybody(_Process(title, 0, p, generator, True), clock, eager).run()
    except (Unlike, CollectiveError):  # who is wrong is told by the simulator
        return None


class _Process(Process):
    """Anyone's run: the peer of a message is how far away it is."""

    __slots__ = ()

    def _message(self, step: send | recv, buf: Any, peer: Any) -> Message:
        if type(peer) is not Anyone or peer.p != self.p:
            raise Unlike
        return Message(self._views(step, buf), peer.peer)

    def _views(self, step: Any, buf: Any) -> tuple:
        return super()._views(step, buf.whole if type(buf) is Joined else buf)


class _Everybody:
    """All ranks, who are always at the same point."""

    def __init__(self, process: _Process, clock: Clock, eager: float):
        self.process = process
        self.alpha, self.beta, self.gamma = clock.alpha, clock.beta, clock.gamma
        self.eager = eager
        self.now = self.port_in = 0.0
        self.messages = self.bytes_sent = self.bytes_received = 0
        self.reductions = self.bytes_reduced = 0
        self.sent: dict[int, deque[tuple[float, Message]]] = defaultdict(deque)

    def run(self) -> Share:
        """Run to the end.

        Raises
        ------
        Unlike
            Ranks differ, wait for each other, or leave a message over.
        """
        while (round_ := self.process.advance()) is not None:
            if round_.sends or round_.recvs:
                self._exchange(round_.sends, round_.recvs)
            for step in round_.local:
                if not isinstance(step, FREE):
                    self.reductions += 1
                    self.bytes_reduced += step.out.nbytes
                    self.now += self.gamma * step.out.nbytes
        if any(self.sent.values()):
            raise Unlike
        sent = self.messages, self.bytes_sent
        return Share(self.now, *sent, self.bytes_received, self.reductions, self.bytes_reduced)

    def _exchange(self, sends: list[Message], recvs: list[Message]) -> None:
        """What goes out, and what comes in at the same time."""
        port_out = self.now
        for message in sends:
            self.messages += 1
            self.bytes_sent += message.nbytes
            if message.nbytes > self.eager and len(sends) + len(recvs) > 2:
                raise Unlike  # which message comes first is not the same for all ranks
            self.sent[message.peer].append((port_out, message))
            port_out += self.alpha + self.beta * message.nbytes
        arrivals = [self._take(message) for message in recvs]
        arrivals.sort()
        for start, cost in arrivals:
            self.port_in = max(start, self.port_in) + cost
        self.now = max(port_out, self.port_in)

    def _take(self, posted: Message) -> tuple[float, float]:
        """When the message for a recv left, and what it costs."""
        queue = self.sent[-posted.peer % self.process.p if posted.peer > 0 else posted.peer]
        if not queue:
            raise Unlike  # all wait for each other
        start, message = queue.popleft()
        nbytes = posted.nbytes
        self.bytes_received += nbytes
        if nbytes != message.nbytes or (nbytes and message.views[0].dtype != posted.views[0].dtype):
            raise Unlike
        return start, self.alpha + self.beta * nbytes
