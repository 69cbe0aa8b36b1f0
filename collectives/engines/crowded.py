"""Links that are shared, beat by beat: an estimate where flow by flow takes too long.

As in `lockstep`, with one rule more: messages that ranks send in one beat share the links on
their ways as if all began together and no other were under way. The exact engine, `flows`, lets
flows begin and end at any time. No link can pass its bytes faster than at its full rate, so an
estimate is never below that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from collectives.engines.batches import Messages
from collectives.engines.law import Law
from collectives.engines.lockstep import Lockstep
from collectives.engines.simulator import Copies, Load, Run
from collectives.engines.symmetric import Beat
from collectives.machine.placed import Placed


class Crowded(Lockstep):
    """Estimate a run of p ranks whose messages share links.

    Parameters
    ----------
    title, p, program, law
        As for `Lockstep`.
    placed : Placed
    copies : callable, optional
        As for `Lockstep`.
    """

    def __init__(
        self,
        title: str,
        p: int,
        program: Callable[[int], Iterator],
        law: Law,
        placed: Placed,
        copies: Copies | None = None,
    ):
        super().__init__(title, p, program, law, copies)
        self.placed = placed
        self.rates = np.array([*[link.rate for link in placed.links], np.inf])
        self.loads = np.zeros(len(self.rates))

    def run(self) -> Run | None:
        """Run to the end; None where beats cannot tell."""
        run = super().run()
        if run is None:
            return None
        busy = (self.loads[:-1] / self.rates[:-1]).max(initial=0.0)
        used = np.flatnonzero(self.loads[:-1])
        links = [self.placed.links[number] for number in used]
        loads = [Load(x.name, x.rate, int(self.loads[i]), x.burst) for x, i in zip(links, used)]
        return replace(run, finished=np.maximum(run.finished, busy), links=tuple(loads))

    def _cost_in(self, met: Messages, which: np.ndarray) -> np.ndarray:
        """At full speed: those that come in together share the link, and wait no second time."""
        return super()._cost(met, which)

    def _cost(self, sent: Messages, which: np.ndarray) -> np.ndarray:
        way = self.law.ways(sent, which)
        nbytes = sent.nbytes[which]
        route = self.placed.route
        found = list(map(route, sent.source[which].tolist(), sent.dest[which].tolist()))
        width = max(map(len, found), default=0)
        if not width:
            return way.first + way.byte * nbytes
        none = len(self.rates) - 1
        routes = np.array([[*links, *[none] * (width - len(links))] for links in found])
        alone = np.repeat(nbytes, width)
        load = np.bincount(routes.ravel(), alone, len(self.rates))
        self.loads += load
        self.loads[none] = 0
        shared = (load[routes] / self.rates[routes]).max(axis=1)
        return way.first + np.maximum(way.byte * nbytes, shared * (nbytes > 0))


class Crowd:
    """The same estimate for an algorithm that is the same seen from every rank.

    Parameters
    ----------
    p : int
        Number of ranks.
    law : Law
    placed : Placed
    """

    def __init__(self, p: int, law: Law, placed: Placed):
        self.p, self.law, self.placed = p, law, placed
        self.rates = np.array([link.rate for link in placed.links])
        self.ways: dict[int, tuple[np.ndarray, float, bool, bool]] = {}

    def run(self, beats: Sequence[Beat]) -> Run:
        """All ranks begin and end each round together."""
        time, loads = 0.0, np.zeros(len(self.rates))
        messages = nbytes = work = reductions = 0
        for beat in beats:
            for distance, size in beat.sends:
                time += self._seconds(beat, distance, size)
                loads += self._way(beat, distance)[0] * size
                messages, nbytes = messages + 1, nbytes + size
            if beat.sends:
                time += self.law.far.latency + self.law.far.overhead
            time += self.law.gamma * beat.work + self.law.delta * beat.copied
            work, reductions = work + beat.work, reductions + beat.reductions
        time = max(time, (loads / self.rates).max(initial=0.0))
        links = [self.placed.links[number] for number in np.flatnonzero(loads)]
        passed = loads[loads > 0].tolist()
        every = partial(np.full, self.p)
        return Run(
            finished=every(time),
            messages=every(messages),
            bytes_sent=every(nbytes),
            bytes_received=every(nbytes),
            reductions=every(reductions),
            bytes_reduced=every(work),
            links=tuple(Load(link.name, link.rate, int(x)) for link, x in zip(links, passed)),
        )

    def _seconds(self, beat: Beat, distance: int, nbytes: int) -> float:
        """Seconds until the slowest of all messages of a kind has passed."""
        _, crowd, far, near = self._way(beat, distance)
        times = [
            way.overhead + way.first + nbytes * max(way.byte, crowd)
            for way, some in ((self.law.far, far), (self.law.near, near))
            if some
        ]
        return max(times)

    def _way(self, beat: Beat, distance: int) -> tuple[np.ndarray, float, bool, bool]:
        """How many messages pass each link when all ranks send so far; seconds a byte then.

        And whether some go to another node, and some stay in theirs.
        """
        if distance not in self.ways:
            ranks = np.arange(self.p)
            dests = beat.peers(ranks, distance).tolist()
            found = [link for pair in zip(ranks.tolist(), dests) for link in self._route(*pair)]
            counts = np.bincount(np.array(found, int), minlength=len(self.rates))
            groups = np.array(self.placed.groups)
            near = groups == groups[dests]
            crowd = float((counts / self.rates).max(initial=0.0))
            self.ways[distance] = counts, crowd, bool((~near).any()), bool(near.any())
        return self.ways[distance]

    def _route(self, source: int, dest: int) -> tuple[int, ...]:
        return self.placed.route.__wrapped__(source, dest)
