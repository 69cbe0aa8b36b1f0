"""Propagation: forward through a plan, read from the source of a copy, not from its target.

That holds as long as neither has been written since. A view must lie in what one copy has
written, and see the elements that were copied: of their type, and none of them cut. The
rules of the driver hold afterwards, or a step stays as it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import is_ as same
from typing import NamedTuple

import numpy as np

from collectives.algorithms.language.memory import scratch
from collectives.algorithms.language.steps import Local, copy, decode, encode, reduce
from collectives.engines.driver import Message, Round, misplaced, views_of
from collectives.engines.packing import pieces
from collectives.engines.places import Occupied, Places, Spans
from collectives.engines.plan import views_in
from collectives.operators.operator import Operator

# The source and the target of a copy.
Pair = tuple[np.ndarray, np.ndarray]


class Copied(NamedTuple):
    """How part of a buffer was written: when, and if by a copy, from where.

    Attributes
    ----------
    when : int
        Writes are counted.
    start : int
        The first byte that was written.
    source : numpy.ndarray or None
        What has been copied there.
    """

    when: int
    start: int
    source: np.ndarray | None


class Sources:
    """Where else what lies in a place can be read."""

    def __init__(self, places: Places):
        self._places = places
        self._written: dict[int, Spans] = defaultdict(Spans)
        self._writes = 0

    def write(self, view: np.ndarray, source: np.ndarray | None = None) -> None:
        """Something else is in the view from now on: a copy of `source`, if there is one."""
        place = self._places.of(view)
        if place is not None:
            self._writes += 1
            fact = Copied(self._writes, place.start, source)
            self._written[place.buffer].put(place.start, place.stop, fact)

    def of(self, view: np.ndarray) -> np.ndarray:
        """The part of a copy's source that still has what the view has; else the view itself.

        What belongs together in one is not looked for in parts of several, and a view must
        see the elements that were copied: of their type, and none of them cut.
        """
        place = self._places.of(view)
        if place is None:
            return view
        found = self._written[place.buffer].within(place.start, place.stop)
        if len(found) != 1 or found[0][:2] != (place.start, place.stop):
            return view
        when, start, source = found[0][2]
        if source is None or source.dtype != view.dtype:
            return view
        first, cut = divmod(place.start - start, view.itemsize)
        if cut or self._changed(source, first * view.itemsize, view.nbytes, when):
            return view
        return source if view.size == source.size else source[first : first + view.size]

    def _changed(self, source: np.ndarray, offset: int, nbytes: int, when: int) -> bool:
        """Whether some bytes of a source have been written since it was copied."""
        place = self._places.of(source)
        assert place is not None
        start = place.start + offset
        later = self._written[place.buffer].within(start, start + nbytes)
        return any([written.when > when for _, _, written in later])


class Propagation:
    """Forward through a plan: read from the sources of copies.

    Parameters
    ----------
    places : Places
    operator : Operator
    """

    def __init__(self, places: Places, operator: Operator):
        self._places = places
        self._operator = operator
        self._sources = Sources(places)

    def rounds(self, rounds: list[Round]) -> list[Round]:
        """The rounds of a plan with their views replaced."""
        return [self._round(round_) for round_ in rounds]

    def _round(self, round_: Round) -> Round:
        sends = self._sends(round_)
        for message in round_.recvs:
            for view in message.views:
                self._sources.write(view)
        return Round(sends, round_.recvs, [x for step in round_.local for x in self._local(step)])

    def _sends(self, round_: Round) -> list[Message]:
        """Its messages from where their views were copied from, in no more pieces.

        Where a message of the round lands none is read.
        """
        sends = []
        landing: Occupied | None = None
        for message in round_.sends:
            views = tuple([self._sources.of(view) for view in message.views])
            if all(map(same, views, message.views)):
                sends.append(message)
                continue
            landing = landing or Occupied(self._places, views_in(round_.recvs))
            more = len(views) > 1 and self._pieces(views) > self._pieces(message.views)
            kept = more or any(map(landing.meets, views))
            sends.append(message if kept else Message(views, message.peer))
        return sends

    def _pieces(self, views: Sequence[np.ndarray]) -> int:
        """In how many pieces they lie, neighbours in one."""
        found = [place for view in views if (place := self._places.of(view))]
        joined = [a.buffer == b.buffer and a.stop == b.start for a, b in pairwise(found)]
        return len(found) - sum(joined)

    def _local(self, step: Local) -> Iterator[Local]:
        if isinstance(step, copy):
            yield from self._copy(step)
        elif isinstance(step, reduce):
            yield from self._reduce(step)
        elif isinstance(step, encode):
            yield self._encode(step)
            self._sources.write(step.packet)
        else:
            self._sources.write(step.dst)
            yield decode(step.packet, step.dst, step.codec)

    def _copy(self, step: copy) -> Iterator[copy]:
        """The copy from where its own source was copied from, piece by piece."""
        pairs = list(pieces(views_of(step.src), views_of(step.dst)))
        moved = [(self._sources.of(source), target) for source, target in pairs]
        if any(new is not old for (new, _), (old, _) in zip(moved, pairs)):
            targets = Occupied(self._places, [target for _, target in pairs])
            moved = self._elsewhere(moved)
            if not any(targets.meets(source) for source, _ in moved):
                pairs = moved
        pairs = self._elsewhere(pairs)
        for source, target in pairs:
            self._sources.write(target, source)
        if pairs:
            yield copy_of(pairs)

    def _elsewhere(self, pairs: list[Pair]) -> list[Pair]:
        """Those of which both are not the same memory."""
        return [(a, b) for a, b in pairs if self._places.of(a) != self._places.of(b)]

    def _encode(self, step: encode) -> encode:
        source = self._sources.of(step.src)
        clash = np.may_share_memory(source, step.packet)
        return encode(step.src if clash else source, step.packet, step.codec)

    def _reduce(self, step: reduce) -> Iterator[Local]:
        """The reduction of operands that lie elsewhere, as far as the rules allow.

        A function of the user may write to what it is given: the copy protects the source.
        """
        left, right, out = step.inbuf, step.inoutbuf, step.out
        if not self._operator.foreign:
            origin = self._sources.of(left)
            if origin is not left and not misplaced(reduce(origin, right, out)):
                left = origin
            origin = self._sources.of(right)
            if origin is not right and not misplaced(reduce(left, origin, out)):
                right = origin
        if self._is_slow(left, right, out):
            result = scratch(out)
            self._sources.write(result)
            yield reduce(left, right, result)
            yield from self._copy(copy(result, out))
        else:
            self._sources.write(out)
            yield reduce(left, right, out)

    def _is_slow(self, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> bool:
        """Whether this is a single element in place: numpy's ufuncs take thrice as long."""
        if out.size != 1 or self._operator.into_right:
            return False
        return np.may_share_memory(left, out) or np.may_share_memory(right, out)


def copy_of(pairs: list[Pair]) -> copy:
    """One step for several copies."""
    if len(pairs) == 1:
        return copy(*pairs[0])
    return copy([source for source, _ in pairs], [target for _, target in pairs])
