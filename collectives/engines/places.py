"""Places: which part of which buffer a view is.

A plan serves for other buffers than those it was recorded with, so what is known of its
views must not follow from where these happen to lie. A place is the number of a buffer,
and the bytes in it. Two buffers of a call are never one, even if they are neighbours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from collectives.algorithms.language.memory import Phantom


class Place(NamedTuple):
    """The bytes from `start` on, and before `stop`, of a buffer."""

    buffer: int
    start: int
    stop: int


class UnknownMemory(Exception):
    """A view is of memory that belongs neither to the call nor to the plan."""


class Places:
    """The places of a plan's views.

    Parameters
    ----------
    given : sequence of numpy.ndarray
        The buffers of the call. Those that overlap are one. All other memory of the
        plan is scratch: each array that was made for it is a buffer of its own.

    Attributes
    ----------
    given : list of Place
        All of each of the call's buffers.
    parted : bool
        Whether only a part of what a copy brings was found to be needed.
    """

    def __init__(self, given: Sequence[np.ndarray]):
        self._spans = _joined([_span(array) for array in given if array.nbytes])
        self._users = {id(owner_of(array)) for array in given}
        self._scratch: dict[int, tuple[int, int]] = {}  # number and address, by owner
        self._known: dict[int, tuple[np.ndarray, Place | None]] = {}
        self.parted = False
        self.given = [
            Place(number, 0, stop - start) for number, (start, stop) in enumerate(self._spans)
        ]

    def of(self, view: np.ndarray) -> Place | None:
        """The place of a view; None if it is empty.

        Raises
        ------
        UnknownMemory
        """
        known = self._known.get(id(view))
        if known is None:  # the view is kept, so that its id stays its own
            known = self._known[id(view)] = view, self._find(view)
        return known[1]

    def _find(self, view: np.ndarray) -> Place | None:
        if not view.nbytes:
            return None
        start, stop = _span(view)
        for number, (first, last) in enumerate(self._spans):
            if first <= start and stop <= last:
                return Place(number, start - first, stop - first)
        number, first = self._number(owner_of(view))
        return Place(number, start - first, stop - first)

    def _number(self, owner: np.ndarray) -> tuple[int, int]:
        """The number of a scratch buffer, and its address."""
        if id(owner) in self._users or not owner.flags.owndata:
            raise UnknownMemory
        count = len(self._spans) + len(self._scratch)
        return self._scratch.setdefault(id(owner), (count, _span(owner)[0]))


class Spans:
    """What is known of the parts of one buffer: spans that do not overlap, in order.

    Neighbours of which the same is known are one span.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._facts: list[Any] = []

    def within(self, start: int, stop: int) -> list[tuple[int, int, Any]]:
        """The known parts of a span, and what is known of each."""
        first, last = self._range(start, stop)
        return [
            (max(self._starts[i], start), min(self._stops[i], stop), self._facts[i])
            for i in range(first, last)
        ]

    def put(self, start: int, stop: int, fact: Any) -> None:
        """Know this of a span from now on, and nothing else."""
        first, last = bisect_left(self._stops, start), bisect_right(self._starts, stop)
        if first < last and self._facts[first] is fact:  # they meet, or are neighbours
            start = min(start, self._starts[first])
        if first < last and self._facts[last - 1] is fact:
            stop = max(stop, self._stops[last - 1])
        self._replace(first, last, start, stop, [start], [stop], [fact])

    def forget(self, start: int, stop: int) -> None:
        """Know nothing of a span any more."""
        first, last = self._range(start, stop)
        if first < last:
            self._replace(first, last, start, stop, [], [], [])

    def _replace(
        self, first: int, last: int, start: int, stop: int, starts: list, stops: list, facts: list
    ) -> None:
        """Put spans in the place of others; what these have outside of `start:stop` stays."""
        if first < last and self._starts[first] < start:
            starts, stops = [self._starts[first], *starts], [start, *stops]
            facts = [self._facts[first], *facts]
        if first < last and self._stops[last - 1] > stop:
            starts, stops = [*starts, stop], [*stops, self._stops[last - 1]]
            facts = [*facts, self._facts[last - 1]]
        self._starts[first:last] = starts
        self._stops[first:last] = stops
        self._facts[first:last] = facts

    def _range(self, start: int, stop: int) -> tuple[int, int]:
        """The first of the spans that meet this one, and the one after the last of them."""
        return bisect_right(self._stops, start), bisect_left(self._starts, stop)

    def _insert(self, first: int, last: int, spans: list[tuple[int, int, Any]]) -> None:
        self._starts[first:last] = [start for start, _, _ in spans]
        self._stops[first:last] = [stop for _, stop, _ in spans]
        self._facts[first:last] = [fact for _, _, fact in spans]


class Occupied:
    """The places of some views."""

    def __init__(self, places: Places, views: Iterable[np.ndarray]):
        self._places = places
        self._spans: dict[int, Spans] = defaultdict(Spans)
        for view in views:
            self.add(view)

    def add(self, view: np.ndarray) -> None:
        if place := self._places.of(view):
            self._spans[place.buffer].put(place.start, place.stop, True)

    def meets(self, view: np.ndarray) -> bool:
        """Whether any of them shares memory with this one."""
        place = self._places.of(view)
        return bool(place and self._spans[place.buffer].within(place.start, place.stop))


def meet(one: Place | None, other: Place | None) -> bool:
    """Whether two places have bytes in common."""
    if one is None or other is None or one.buffer != other.buffer:
        return False
    return one.start < other.stop and other.start < one.stop


def owner_of(view: np.ndarray) -> np.ndarray:
    """The array that a view is a part of."""
    while isinstance(view.base, np.ndarray):
        view = view.base
    return view


def _span(view: np.ndarray) -> tuple[int, int]:
    """The first byte in memory of a view, and the one after its last."""
    if isinstance(view, Phantom):  # a vector without memory
        raise UnknownMemory
    start = view.__array_interface__["data"][0]
    return start, start + view.nbytes


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same memory in spans that do not overlap."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return joined
