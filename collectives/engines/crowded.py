"""Links that are shared, beat by beat: an estimate where flow by flow takes too long.

As in `lockstep`, with one rule more: messages that ranks send in one beat share the links on
their ways as if all began together and no other were under way. The exact engine, `flows`, lets
flows begin and end at any time. No link can pass its bytes faster than at its full rate, so an
estimate is never below that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from collectives.engines.batches import Messages
from collectives.engines.law import Law
from collectives.engines.lockstep import Lockstep
from collectives.engines.simulator import Load, Run
from collectives.machine.placed import Placed


class Crowded(Lockstep):
    """Estimate a run of p ranks whose messages share links.

    Parameters
    ----------
    title, p, program, law
        As for `Lockstep`.
    placed : Placed
    """

    def __init__(
        self, title: str, p: int, program: Callable[[int], Iterator], law: Law, placed: Placed
    ):
        super().__init__(title, p, program, law)
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
        loads = [Load(x.name, x.rate, int(self.loads[i])) for x, i in zip(links, used)]
        return replace(run, finished=np.maximum(run.finished, busy), links=tuple(loads))

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
