"""Lanes and carriers: how the messages of many communicators travel over few of ours.

A carrier is a communicator of the library's own. It carries the messages of every
communicator whose ranks are among its own, and their tags keep these apart. Each rank chooses
by itself under which tags it receives the messages of a communicator: tags that it has
given to no other. So whoever sends to it, what belongs to one communicator never meets what
belongs to another there, and nobody has to ask the others whether a tag is free, which would
be hard where communicators overlap and threads make several at once. The ranks of a
communicator only tell each other what they have chosen. All that is its lane.

A duplicate of each communicator would tell messages apart, too. But MPI can have some
thousands only, and duplicates copy the attributes of the program.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from threading import Lock

from mpi4py import MPI

MOST_TAGS = 2**14  # of a lane
FEWEST_TAGS = 2**4
LANES = 2**12  # of a rank on one carrier, at least, where the tags suffice


@cache
def tags_of_a_lane() -> int:
    """How many tags a rank receives under in each of its lanes."""
    bound: int = MPI.COMM_WORLD.Get_attr(MPI.TAG_UB) or 32767  # what MPI promises
    return min(MOST_TAGS, max(FEWEST_TAGS, (bound + 1) // LANES))


@cache
def _lanes() -> int:
    bound: int = MPI.COMM_WORLD.Get_attr(MPI.TAG_UB) or 32767
    return (bound + 1) // tags_of_a_lane()


class Lane:
    """The way of one communicator's messages.

    Parameters
    ----------
    carrier : Carrier
    rank : int
        This rank in the communicator.
    ranks : sequence of int
        What each rank of the communicator is in the carrier.
    tags : sequence of int
        The first of the tags under which each rank receives.
    name : int
        The same on all ranks, and of no other lane.

    Attributes
    ----------
    comm : MPI.Intracomm
        The carrier's.
    p : int
    """

    __slots__ = ("carrier", "comm", "name", "p", "rank", "ranks", "spoilt", "tags")

    def __init__(
        self, carrier: Carrier, rank: int, ranks: Sequence[int], tags: Sequence[int], name: int
    ):
        self.carrier = carrier
        self.comm = carrier.comm
        self.rank, self.p = rank, len(ranks)
        self.ranks, self.tags = ranks, tags
        self.name = name
        self.spoilt = False

    def to(self, rank: int, tag: int) -> tuple[int, int]:
        """What a message to a rank is sent to: a rank of the carrier, and a tag."""
        return self.ranks[rank], self.tags[rank] + tag

    def of(self, rank: int, tag: int) -> tuple[int, int]:
        """What a message of a rank is received from."""
        return self.ranks[rank], self.tags[self.rank] + tag

    def release(self) -> None:
        """Nothing is sent or received here any more.

        If a call has failed, a message may still be on its way to this rank. Then nobody
        else gets the tags.
        """
        self.carrier.give(None if self.spoilt else self.tags[self.rank])


class Carrier:
    """A communicator of ours, and what this rank has of it.

    Parameters
    ----------
    comm : MPI.Intracomm
    name : int
        The same on all ranks, and of no other carrier.

    Attributes
    ----------
    nodes : sequence of int
        For each rank the lowest one on the same node.
    """

    def __init__(self, comm: MPI.Intracomm, name: int):
        self.comm, self.name = comm, name
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.group = comm.Get_group()
        self.nodes: Sequence[int] = ()
        self._stays = False
        self._lanes = 0  # in use
        self._next = 0
        self._returned: deque[int] = deque()

    def take(self) -> int | None:
        """The first of the tags of a new lane; None if none are left.

        Those that were given back last come last again: should a message be late after all,
        which MPI's user would have to provoke, it meets nobody for long.
        """
        with _LOCK:
            number = self._next
            if number < _lanes():
                self._next += 1
            elif self._returned:
                number = self._returned.popleft()
            else:
                return None
            self._lanes += 1
            return number * tags_of_a_lane()

    def give(self, tag: int | None) -> None:
        """Give the tags of a lane back; the last one frees the carrier, unless it is to stay.

        Every rank frees it when it does not need it any more, as with MPI's own.
        """
        with _LOCK:
            self._lanes -= 1
            if tag is not None:
                self._returned.append(tag // tags_of_a_lane())
            idle = not self._lanes and not self._stays
            if idle and self in _CARRIERS:
                _CARRIERS.remove(self)
        if idle:
            self.group.Free()
            self.comm.Free()

    def join(self) -> None:
        """From now on, communicators of some of its ranks may have lanes on it.

        The first of all ranks of the world stays, for it serves most communicators to come.
        """
        world = MPI.COMM_WORLD.Get_group()
        of_all = MPI.Group.Compare(self.group, world) != MPI.UNEQUAL
        world.Free()
        with _LOCK:
            self._stays = of_all and not any(other._stays for other in _CARRIERS)
            _CARRIERS.append(self)

    def has(self, group: MPI.Group) -> bool:
        """Whether all ranks of a group are among its own."""
        if group.Get_size() > self.size:
            return False
        return MPI.UNDEFINED not in MPI.Group.Translate_ranks(group, None, self.group)


def carrier_for(comm: MPI.Intracomm) -> Carrier | None:
    """The oldest carrier that has all ranks of a communicator.

    As a rule it is the same on all of them, since all had to come to make it.
    """
    group = comm.Get_group()
    try:
        with _LOCK:
            return next((carrier for carrier in _CARRIERS if carrier.has(group)), None)
    finally:
        group.Free()


_CARRIERS: list[Carrier] = []
_LOCK = Lock()
