"""The operations in flight on one communicator, and which tags they have.

Of the tags of its lane, blocking collectives have tag 0, comparisons of first calls tag 1,
reports of late ranks tag 2, and what compares clocks tag 3. Nonblocking collectives have the
next of the tags that follow, and so have blocking ones that are checked, limited or recorded.
Each persistent one has a tag of its own from the rest: they may be started in a different order
on each rank. When that rest is used up, another lane begins it again; all ranks reach that point
in the same call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mpi4py import MPI

from collectives.mpi.engines.lanes import Lane, tags_of_a_lane
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import PROGRESS
from collectives.mpi.engines.signals import SIGNALS
from collectives.mpi.engines.stages import Stage

COMPARISON_TAG, REPORT_TAG, CLOCK_TAG = 1, 2, 3
FIRST_TAG = 4

# Tags at most; each kind has half of what there is.
NONBLOCKING_TAGS = PERSISTENT_TAGS = 2**13


@dataclass
class _Place:
    """A lane with tags for persistent operations, and how many are alive."""

    lane: Lane
    next: int
    alive: int = 0
    left: bool = False


class Flight(Operation):
    """An operation on a communicator, with a number there that gives it its tag.

    All ranks start operations in the same order, so messages of two never mix. When the
    tags come round again, an operation starts after the one that had its tag before, if
    that one is still in flight. To skip the tag instead would be wrong: which operations
    are still in flight differs from rank to rank.

    Parameters
    ----------
    traffic : Traffic
    stages : iterator of Stage
    end : callable, optional
        Called at the end, with whether there was no error.
    keep : object
        What must live until then.

    Attributes
    ----------
    signal : int or None
        The tag of the message to be received at the end.
    """

    __slots__ = ("end", "give_up", "keep", "lane", "number", "operations", "signal", "tag")

    def __init__(
        self,
        traffic: Traffic,
        stages: Iterator[Stage],
        end: Callable[[bool], object] | None = None,
        keep: object = None,
    ):
        self.lane, self.operations = traffic.lane, traffic.operations
        self.number = number = traffic.started
        traffic.started = number + 1
        self.tag = FIRST_TAG + number % traffic.tags
        super().__init__(stages, self.operations.get(number - traffic.tags))
        self.operations[number] = self
        self.signal: int | None = None
        self.end, self.keep = end, keep
        self.give_up = traffic.give_up

    def _post(self, stage: Stage) -> list[MPI.Request]:
        lane, tag = self.lane, self.tag
        comm, ranks, tags = lane.comm, lane.ranks, lane.tags
        mine = tags[lane.rank] + tag
        requests = [comm.Irecv(buf, ranks[source], mine) for buf, source in stage.recvs]
        for buf, dest in stage.sends:
            requests.append(comm.Isend(buf, ranks[dest], tags[dest] + tag))
        return requests

    def _ended(self, left: list[MPI.Request]) -> None:
        del self.operations[self.number]
        if self.error is not None:
            self.lane.spoilt = True
        if left:
            self.give_up(self.error, (left, self.keep))
        end, self.end = self.end, None
        if end is not None:
            try:
                end(not self.lost)
            except BaseException as error:  # whoever waits for the operation gets it
                self.error = error
        self.keep = None
        if self.signal is not None:
            PROGRESS.remove(self)
            SIGNALS.complete(self.signal)
            SIGNALS.give(self.signal)


class Traffic:
    """The operations in flight on a communicator.

    Parameters
    ----------
    lane : Lane
        Which is given back in the end.
    more : callable
        Makes another lane for the same ranks. Collective.

    Attributes
    ----------
    operations : dict
        Those in flight, by number.
    started : int
        How many there have been.
    tags : int
        How many different tags they have.
    kind : type
        Of the operations that are supervised; of others it is `Flight`.
    give_up : callable
        Told why an operation has left messages in flight, and what these may still use.
    """

    def __init__(
        self, lane: Lane, more: Callable[[], Lane], give_up: Callable[[Any, object], object]
    ):
        self.lane = lane
        self.more = more
        self.kind: type[Flight] = Flight
        self.give_up = give_up
        self.operations: dict[int, Flight] = {}
        self.started = 0
        half = (tags_of_a_lane() - FIRST_TAG) // 2
        self.tags = min(NONBLOCKING_TAGS, half)
        self.first = FIRST_TAG + self.tags  # of persistent operations
        self.last = self.first + min(PERSISTENT_TAGS, half) - 1
        self.home = self.place = _Place(lane, self.first)
        self.closed = False

    def settle(self) -> tuple[_Place, int]:
        """A lane and a tag for a persistent operation, until `vacate`."""
        if self.place.next > self.last:
            full, self.place = self.place, _Place(self.more(), self.first)
            self._abandon(full)
        tag = self.place.next
        self.place.next += 1
        self.place.alive += 1
        return self.place, tag

    def vacate(self, place: _Place) -> None:
        """A persistent operation is gone for good."""
        place.alive -= 1
        self._abandon(place)

    def close(self) -> None:
        """Give the lanes back, those of living persistent operations with the last one.

        What was in flight has ended.
        """
        self.closed = True
        self._abandon(self.home)
        self._abandon(self.place)

    def _abandon(self, place: _Place) -> None:
        """Give back a lane that nobody has and nobody gets."""
        wanted = not self.closed and (place is self.home or place is self.place)
        if not place.alive and not wanted and not place.left:
            place.left = True
            place.lane.release()
