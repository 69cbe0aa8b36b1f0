"""Clearing: backward through a plan, leave out the copies that nobody reads."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from collectives.algorithms.language.steps import Local, copy, reduce
from collectives.engines.driver import Round, views_of
from collectives.engines.packing import pieces
from collectives.engines.places import Place, Places, Spans
from collectives.engines.plan import views_in
from collectives.engines.propagation import copy_of

# The ids of local steps, and the places that nobody reads after them of those they read.
Last = set[tuple[int, Place | None]]


class Needed:
    """What of the memory will still be read, seen from some step of a plan on.

    In the end that is what lies in the buffers of the call.
    """

    def __init__(self, places: Places):
        self._places = places
        self._spans: dict[int, Spans] = defaultdict(Spans)
        for buffer, start, stop in places.given:
            self._spans[buffer].put(start, stop, True)

    def read(self, view: np.ndarray) -> None:
        """Before a step that reads the view."""
        if place := self._places.of(view):
            self._spans[place.buffer].put(place.start, place.stop, True)

    def write(self, view: np.ndarray) -> None:
        """Before a step that writes all of the view."""
        if place := self._places.of(view):
            self._spans[place.buffer].forget(place.start, place.stop)

    def parts(self, view: np.ndarray) -> list[slice]:
        """Which elements of the view are needed."""
        place = self._places.of(view)
        if place is None:
            return []
        found = self._spans[place.buffer].within(place.start, place.stop)
        begin, item = place.start, view.itemsize  # a part of an element needs all of it
        return [slice((a - begin) // item, -((begin - b) // item)) for a, b, _ in found]


class Clearing:
    """Backward through a plan: leave out the copies that nobody reads.

    Parameters
    ----------
    places : Places

    Attributes
    ----------
    last : Last
    """

    def __init__(self, places: Places):
        self.last: Last = set()
        self._places = places
        self._needed = Needed(places)

    def rounds(self, rounds: list[Round]) -> list[Round]:
        """The rounds of a plan with what is needed of their copies."""
        return [self._round(round_) for round_ in reversed(rounds)][::-1]

    def _round(self, round_: Round) -> Round:
        local = [step for x in reversed(round_.local) if (step := self._step(x)) is not None]
        for view in views_in(round_.recvs):
            self._needed.write(view)
        for view in views_in(round_.sends):
            self._needed.read(view)
        return Round(list(round_.sends), list(round_.recvs), local[::-1])

    def _step(self, step: Local) -> Local | None:
        written = views_of(step.written)
        if isinstance(step, copy):
            pairs = list(pieces(step.read, written))
            kept = [(s[part], t[part]) for s, t in pairs for part in self._needed.parts(t)]
            if not kept:
                return None
            if len(kept) != len(pairs) or any(
                a.size < b.size for (a, _), (b, _) in zip(kept, pairs)
            ):
                self._places.parted = True
            step = copy_of(kept)
        for view in step.read if isinstance(step, (copy, reduce)) else ():
            if not self._needed.parts(view):
                self.last.add((id(step), self._places.of(view)))
        for view in written:
            self._needed.write(view)
        for view in step.read:
            self._needed.read(view)
        return step
