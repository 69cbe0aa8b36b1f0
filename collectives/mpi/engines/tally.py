"""What ran on a communicator: calls, messages and bytes, counted without being felt.

A plan sends the same messages each time, so it is enough to count its runs, which takes one
call of C each. What they come to is worked out when somebody asks.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import NamedTuple
from weakref import WeakSet, WeakValueDictionary

from collectives.engines.plan import Plan


class Usage(NamedTuple):
    """What one rank has sent by one algorithm.

    Attributes
    ----------
    primitive, algorithm : str
        What ran.
    asked : str
        What was asked for: "auto" where a table took the algorithm.
    within : str
        The call of which it was a part, if it was not one itself.
    calls, messages, bytes_sent : int
    """

    primitive: str
    algorithm: str
    asked: str
    within: str
    calls: int
    messages: int
    bytes_sent: int


_Kind = tuple[str, str, str, str]  # the first four
_Sums = dict[_Kind, list[int]]  # the others


class Meter:
    """How often plans have run that are alike in all that is counted.

    Attributes
    ----------
    tick : callable
        To be called once a run.
    """

    def __init__(self, kind: _Kind, messages: int, nbytes: int, past: _Sums):
        self._kind, self._messages, self._nbytes = kind, messages, nbytes
        self._past = past
        self._ticks = count()
        self._looks = 0
        self.tick = self._ticks.__next__

    def add_to(self, sums: _Sums) -> None:
        """Add what the runs so far come to."""
        runs = self.tick() - self._looks  # to look is to tick
        self._looks += 1
        if runs:
            row = sums[self._kind]
            row[0] += runs
            row[1] += runs * self._messages
            row[2] += runs * self._nbytes

    def __del__(self) -> None:
        self.add_to(self._past)  # its plans are gone, what they did is not


class Tally:
    """What has run on one communicator."""

    def __init__(self) -> None:
        self._past = _nothing()  # of meters that are gone
        self._before = _nothing()  # what is not to be told any more
        self._meters: WeakValueDictionary[tuple, Meter] = WeakValueDictionary()
        _ALIVE.add(self)

    def meter(self, plan: Plan, asked: str, within: str = "") -> Meter:
        """What counts the runs of a plan; it lasts as long as who asked for it keeps it."""
        sent = [message.nbytes for round_ in plan.rounds for message in round_.sends]
        primitive, _, algorithm = plan.title.partition(".")
        kind = primitive, algorithm, asked, within
        key = *kind, len(sent), sum(sent)
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter(kind, len(sent), sum(sent), self._past)
        return meter

    def usage(self) -> list[Usage]:
        """What has run since the last `reset`."""
        now, before = self.sums(), self._before
        rows = {kind: [a - b for a, b in zip(now[kind], before[kind])] for kind in now}
        return _rows(rows)

    def reset(self) -> None:
        """Count from 0 again."""
        self._before = self.sums()

    def sums(self) -> _Sums:
        """What has ever run."""
        sums = _nothing()
        for meter in list(self._meters.values()):
            meter.add_to(sums)
        _add(self._past, sums)
        return sums

    def close(self) -> None:
        """The communicator is gone; what it did stays in `everything`."""
        if self in _ALIVE:
            _ALIVE.discard(self)
            _add(self.sums(), _GONE)


def everything() -> list[Usage]:
    """What has run on all communicators of this process, whatever was reset."""
    sums = _nothing()
    _add(_GONE, sums)
    for tally in list(_ALIVE):
        _add(tally.sums(), sums)
    return _rows(sums)


def _nothing() -> _Sums:
    return defaultdict(lambda: [0, 0, 0])


def _add(some: _Sums, to: _Sums) -> None:
    for kind, row in list(some.items()):
        to[kind] = [a + b for a, b in zip(to[kind], row)]


def _rows(sums: _Sums) -> list[Usage]:
    return [Usage(*kind, *row) for kind, row in sorted(sums.items()) if any(row)]


_ALIVE: WeakSet[Tally] = WeakSet()
_GONE = _nothing()
