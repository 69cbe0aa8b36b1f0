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

from mpi4py import MPI

from collectives.engines.nonblocking import Lanes, Operation, poster
from collectives.engines.stages import Stage

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


class Traffic:
    """The operations in flight on a communicator of ours, which belongs to it."""

    def __init__(self, comm: MPI.Intracomm):
        self.comm = comm
        bound: int = MPI.COMM_WORLD.Get_attr(MPI.TAG_UB) or 32767  # where MPI promises it
        self.lanes = Lanes(FIRST_TAG, min(FIRST_TAG + NONBLOCKING_TAGS - 1, bound // 2))
        self.first = self.lanes.last + 1
        self.last = min(bound, self.lanes.last + PERSISTENT_TAGS)
        self.operations: dict[int, Operation] = {}
        self.place = _Place(comm, self.first)
        self.closed = False

    def launch(self, stages: Iterator[Stage], ended: Callable[[], None]) -> Operation:
        """Make an operation with a tag of its own; `ended` is called at its end."""
        tag, predecessor = self.lanes.enter()

        def leave() -> None:
            self.lanes.leave(tag, operation)
            self.operations.pop(id(operation), None)
            ended()

        operation = Operation(stages, poster(self.comm, tag), leave, predecessor)
        self.lanes.occupy(tag, operation)
        self.operations[id(operation)] = operation
        return operation

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
