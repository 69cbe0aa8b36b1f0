"""All ranks side by side: a simulated run whose clock is computed for many ranks at once.

In each beat the ranks that have ended a round go on to their next yield, one after the other;
then numpy matches what they have posted, and computes when messages pass and rounds end, as
the simulator does. Where that could depend on the order in which the simulator looks at the
ranks, or anything is wrong, there is no result: the simulator has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from collectives.engines.batches import NONE, Messages, layers, pairs
from collectives.engines.driver import Process
from collectives.engines.endless import Guard, check_ends, many
from collectives.engines.law import Law
from collectives.engines.notes import Notes, Scribe
from collectives.engines.simulator import Copies, Run
from collectives.engines.uncollected import uncollected
from collectives.errors import CollectiveError, Endless

# After so many beats so many ranks must have gone on at once, on average: else one rank after
# the other is faster.
TRIAL, FEW = 64, 12


class Unfit(Exception):
    """Raised where only the simulator can tell what happens."""


class Lockstep:
    """Run one algorithm on p ranks with phantom buffers, beat by beat.

    Parameters
    ----------
    title : str
        Full name of the algorithm.
    p : int
        Number of ranks.
    program : callable
        `program(rank)` returns the algorithm's generator for that rank.
    law : Law
    copies : callable, optional
        As for `Simulator`.
    """

    def __init__(
        self,
        title: str,
        p: int,
        program: Callable[[int], Iterator],
        law: Law,
        copies: Copies | None = None,
    ):
        self.title, self.p, self.program, self.law = title, p, program, law
        # Seconds that ranks copy in their rounds: before the messages, and after them.
        self.before, self.after = np.zeros((2, p))
        self.copies = None if copies is None else [copies(rank) for rank in range(p)]
        # As in the simulator's ranks.
        self.now, self.ends, self.busy, self.taken = np.zeros((4, p))
        self.port_out, self.port_in = np.zeros((2, p))
        self.waits, self.sends, self.recvs, self.work = np.zeros((4, p), np.int64)
        self.tally = np.zeros((5, p), np.int64)
        self.sent = self.posted = self.arrived = NONE
        self.done = np.zeros(p, bool)
        self.beats = self.rounds = 0

    def run(self) -> Run | None:
        """Run to the end; None if that is for the simulator to do."""
        try:
            with uncollected(), Guard() as guard:
                self._begin()
                going = np.arange(self.p)
                while going.size and not guard.late:
                    going = self._beat(going)
        except Endless:
            raise
        except (Unfit, CollectiveError):
            return None
        if any(self.ranks) or self.sent.size:
            return None
        return Run(self.now, *self.tally)

    def _begin(self) -> None:
        self.notes = Notes()
        self.ranks: list[Scribe | None] = [
            Scribe(self.title, r, self.p, self.program(r), self.notes) for r in range(self.p)
        ]

    def _beat(self, going: np.ndarray) -> np.ndarray:
        """Let these ranks go on; returns those whose rounds end next."""
        self._look(going)
        here, sent, posted = self._advance(going)
        self._leave(sent)
        sent, posted = self.sent.and_then(sent), self.posted.and_then(posted)
        these, those = pairs(sent.channel(self.p), posted.channel(self.p))
        met = sent.take(these)
        if (met.code != posted.code[those]).any():
            raise Unfit
        self.sent, self.posted = sent.without(these), posted.without(those)
        touched = [here, met.dest]
        waiting = met.nbytes > self.law.eager
        if waiting.any():
            touched.append(self._meet(met.take(waiting)))
            met = met.take(~waiting)
        self.arrived = self.arrived.and_then(met)
        np.subtract.at(self.waits, met.dest, 1)
        return self._end(np.unique(np.concatenate(touched)))

    def _look(self, going: np.ndarray) -> None:
        """Now and then: is this worth while, and is there an end to it?"""
        self.beats += 1
        self.rounds += going.size
        if self.beats >= TRIAL and not self.beats & (self.beats - 1):
            if self.rounds < FEW * self.beats:
                raise Unfit
            if self.beats >= many(self.p):
                rank = int(going[0])
                check_ends(Process(self.title, rank, self.p, self.program(rank), True))

    def _advance(self, going: np.ndarray) -> tuple[np.ndarray, Messages, Messages]:
        """The next round of each rank: who has one, what they send, and for what they wait."""
        ranks: list[Any] = self.ranks
        ended = [rank for rank in going.tolist() if not ranks[rank].note()]
        for rank in ended:
            ranks[rank] = None
        here = np.setdiff1d(going, ended, True) if ended else going
        if self.copies is not None:
            self._copy(here)
        self.busy[here] = self.taken[here] = self.ends[here] = self.now[here] + self.before[here]
        for column in (self.waits, self.sends, self.work):
            column[here] = 0
        sent, posted, (worker, work) = self.notes.take()
        np.add.at(self.sends, sent.source, 1)
        np.add.at(self.waits, posted.dest, 1)
        np.add.at(self.work, worker, work)
        self.recvs[here] = self.waits[here]
        self.tally[0, here] += self.sends[here]
        np.add.at(self.tally[1], sent.source, sent.nbytes)
        np.add.at(self.tally[2], posted.dest, posted.nbytes)
        np.add.at(self.tally[3], worker, 1)
        self.tally[4, here] += self.work[here]
        return here, sent, posted

    def _copy(self, here: np.ndarray) -> None:
        """Look up what ranks copy in the round that they begin."""
        ranks: Any = self.ranks
        copies: Any = self.copies
        self.before[here] = self.after[here] = 0.0
        for rank in here.tolist():
            if copied := copies[rank].get(ranks[rank].number):
                self.before[rank], self.after[rank] = (self.law.delta * x for x in copied)

    def _leave(self, sent: Messages) -> None:
        """Eager messages pass the ports out, one after the other."""
        waiting = sent.nbytes > self.law.eager
        if waiting.any():
            np.add.at(self.waits, sent.source[waiting], 1)
        sent.cost[waiting] = self._cost(sent, np.flatnonzero(waiting))
        at_once = np.flatnonzero(~waiting)
        for layer in layers(sent.source[at_once]):
            these = at_once[layer]
            ranks, way = sent.source[these], self.law.ways(sent, these)
            sent.cost[these] = self._cost(sent, these)
            self.busy[ranks] += way.overhead
            start = np.maximum(self.busy[ranks], self.port_out[ranks])
            passed = start + sent.cost[these]
            sent.start[these], sent.passed[these] = start, passed
            self.port_out[ranks] = passed + way.gap
            self.ends[ranks] = np.maximum(self.ends[ranks], passed)

    def _cost(self, sent: Messages, which: np.ndarray) -> np.ndarray:
        """Seconds that some messages keep the port out."""
        way = self.law.ways(sent, which)
        return way.first + way.byte * sent.nbytes[which]

    def _cost_in(self, met: Messages, which: np.ndarray) -> np.ndarray:
        """Seconds that some messages keep the port in, at least."""
        return met.cost[which]

    def _meet(self, met: Messages) -> np.ndarray:
        """Rendezvous: messages and their recvs have found each other; returns the senders."""
        source, dest, way = met.source, met.dest, self.law.ways(met)
        width = np.maximum(self.sends, self.recvs)
        if width[source].max() > 1 or width[dest].max() > 1:
            raise Unfit  # which message is first depends on who looks first
        self.busy[source] += way.overhead
        begin = np.maximum(self.busy[source], self.now[dest]) + way.handshake
        start = np.maximum(begin, self.port_out[source])
        passed = start + met.cost
        port = np.maximum(start + way.latency, self.port_in[dest]) + met.cost
        arrived = np.maximum(port, passed + way.latency)
        self.port_out[source], self.port_in[dest] = passed + way.gap, port + way.gap
        self.ends[source] = np.maximum(self.ends[source], passed)
        self.taken[dest] = np.maximum(self.taken[dest], arrived) + way.overhead
        self.ends[dest] = np.maximum(self.ends[dest], self.taken[dest])
        self.waits[source] -= 1
        self.waits[dest] -= 1
        return source

    def _end(self, touched: np.ndarray) -> np.ndarray:
        """The ranks among these whose rounds end: their messages pass the port in."""
        ranks = touched[self.waits[touched] == 0]
        if self.arrived.size:
            self.done[ranks] = True
            over = self.done[self.arrived.dest]
            self.done[ranks] = False
            self._receive(self.arrived.take(over))
            self.arrived = self.arrived.take(~over)
        work = self.law.gamma * self.work[ranks]
        self.now[ranks] = self.ends[ranks] + self.after[ranks] + work
        return ranks

    def _receive(self, met: Messages) -> None:
        """Messages that left at once pass the ports in, in the order in which they left."""
        met = met.take(np.lexsort((met.source, met.cost, met.start, met.dest)))
        all_ranks = met.dest
        self.taken[all_ranks] = np.maximum(self.taken[all_ranks], self.busy[all_ranks])
        for layer in layers(met.dest):
            ranks, way = met.dest[layer], self.law.ways(met, layer)
            port = np.maximum(met.start[layer] + way.latency, self.port_in[ranks])
            port += self._cost_in(met, layer)
            arrived = np.maximum(port, met.passed[layer] + way.latency)
            self.port_in[ranks] = port + way.gap
            self.taken[ranks] = np.maximum(self.taken[ranks], arrived) + way.overhead
        self.ends[all_ranks] = np.maximum(self.ends[all_ranks], self.taken[all_ranks])
