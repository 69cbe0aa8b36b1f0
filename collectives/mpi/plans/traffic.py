"""The operations in flight on one communicator, and which tags they have.

Blocking collectives have tag 0, comparisons of first calls tag 1, and reports of
late ranks tag 2. Nonblocking collectives have the next of the tags that follow,
and so have blocking ones that are checked or limited. Each persistent one has a
tag of its own from the rest: they may be started in a different order on each
rank. When that rest is used up, one more duplicate of the communicator begins it
again; all ranks reach that point in the same call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mpi4py import MPI

from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import PROGRESS
from collectives.mpi.engines.signals import SIGNALS
from collectives.mpi.engines.stages import Stage

COMPARISON_TAG, REPORT_TAG = 1, 2
FIRST_TAG = 3

# Tags at most; half of what MPI guarantees is the least there can be.
NONBLOCKING_TAGS = 2**14
PERSISTENT_TAGS = 2**30


@dataclass
class _Place:
    """A communicator with tags for persistent operations, and how many are alive."""

    comm: MPI.Intracomm
    next: int
    alive: int = 0


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

    __slots__ = ("comm", "end", "give_up", "keep", "number", "operations", "signal", "tag")

    def __init__(
        self,
        traffic: Traffic,
        stages: Iterator[Stage],
        end: Callable[[bool], object] | None = None,
        keep: object = None,
    ):
        self.comm, self.operations = traffic.comm, traffic.operations
        self.number = number = traffic.started
        traffic.started = number + 1
        self.tag = FIRST_TAG + number % traffic.tags
        super().__init__(stages, self.operations.get(number - traffic.tags))
        self.operations[number] = self
        self.signal: int | None = None
        self.end, self.keep = end, keep
        self.give_up = traffic.give_up

    def _post(self, stage: Stage) -> list[MPI.Request]:
        comm, tag = self.comm, self.tag
        requests = [comm.Irecv(buf, source, tag) for buf, source in stage.recvs]
        for buf, dest in stage.sends:
            requests.append(comm.Isend(buf, dest, tag))
        return requests

    def _ended(self, left: list[MPI.Request]) -> None:
        del self.operations[self.number]
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
    """The operations in flight on a communicator of ours, which belongs to it.

    Attributes
    ----------
    operations : dict
        Those in flight, by number.
    started : int
        How many there have been.
    tags : int
        How many different tags they have.
    give_up : callable
        Told why an operation has left messages in flight, and what these may still use.
    """

    def __init__(self, comm: MPI.Intracomm, give_up: Callable[[Any, object], object]):
        self.comm = comm
        self.give_up = give_up
        bound: int = MPI.COMM_WORLD.Get_attr(MPI.TAG_UB) or 32767  # where MPI promises it
        self.operations: dict[int, Flight] = {}
        self.started = 0
        self.tags = min(NONBLOCKING_TAGS, bound // 2 - FIRST_TAG + 1)
        self.first = FIRST_TAG + self.tags  # of persistent operations
        self.last = min(bound, self.first + PERSISTENT_TAGS - 1)
        self.place = _Place(comm, self.first)
        self.closed = False

    def settle(self) -> tuple[_Place, int]:
        """A communicator and a tag for a persistent operation, until `vacate`."""
        if self.place.next > self.last:
            full, self.place = self.place, _Place(self.comm.Dup(), self.first)
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
        """Release the communicators, those of living persistent operations with the last one.

        What was in flight has ended.
        """
        self.closed = True
        if self.place.comm is not self.comm:
            self.comm.Free()
        self._abandon(self.place)

    def _abandon(self, place: _Place) -> None:
        """Free a communicator that nobody has and nobody gets."""
        wanted = not self.closed and place.comm in (self.comm, self.place.comm)
        if not place.alive and not wanted and place.comm != MPI.COMM_NULL:
            place.comm.Free()
