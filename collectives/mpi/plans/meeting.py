"""The ranks of a communicator meet, once: then each knows where its messages go.

This is the only collective of MPI's own that the library calls on a communicator of the
program, for there is no other way to reach its ranks yet.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import count
from time import perf_counter
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from collectives.errors import Timeout
from collectives.mpi.data.lifetime import private
from collectives.mpi.data.nodes import leader
from collectives.mpi.engines.lanes import Carrier, Lane, carrier_for
from collectives.mpi.engines.progress import offer_core
from collectives.mpi.guards.agreement import gather
from collectives.mpi.guards.watch import limit_the_end

_DRAW = count(1 + secrets.randbits(62))  # numbers that nobody else draws

# What a rank tells: the name of its carrier, its rank and its tag there, such a number, and
# what it says.
CARRIER, RANK, TAG, DRAWN, SAYS = range(5)
NONE = 0  # the name of no carrier
FULL = -1  # the tag of a rank that has none left


class Met(NamedTuple):
    """What the ranks have come to.

    Attributes
    ----------
    lane : Lane
    nodes : tuple of int
        For each rank the lowest one on the same node.
    alike : bool
        Whether all have said the same.
    """

    lane: Lane
    nodes: tuple[int, ...]
    alike: bool


def meet(
    comm: MPI.Intracomm, says: int = 0, carrier: Carrier | None = None, seconds: float | None = None
) -> Met:
    """A lane for a communicator. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
    says : int
        Something in which the ranks may differ.
    carrier : Carrier, optional
        One that is known to have all its ranks.
    seconds : float, optional
        How long to wait for other ranks.

    Raises
    ------
    Timeout
        Not all came within `seconds`.
    """
    carrier = carrier or carrier_for(comm)
    tag = None if carrier is None else carrier.take()
    mine = np.array([NONE, 0, FULL, next(_DRAW), says])
    if carrier is not None:
        mine[:DRAWN] = carrier.name, carrier.rank, FULL if tag is None else tag
    everyone = _tell(comm, mine, seconds)
    names, ranks, tags, drawn, said = everyone.T.tolist()
    alike = said.count(said[0]) == len(said)
    if NONE not in names and FULL not in tags and names.count(names[0]) == len(names):
        assert carrier is not None
        lane = Lane(carrier, comm.Get_rank(), ranks, tags, drawn[0])
        return Met(lane, _nodes(carrier, ranks), alike)
    if carrier is not None and tag is not None:
        carrier.give(tag)
    lane = _lane_alone(comm, drawn[0])
    return Met(lane, tuple(lane.carrier.nodes), alike)


def _lane_alone(comm: MPI.Intracomm, name: int) -> Lane:
    """A lane on a carrier of the communicator's own, which others may share from then on."""
    carrier = Carrier(private(comm), name)
    tag = carrier.take()
    assert tag == 0, "on a new carrier all take the same"
    lane = Lane(carrier, carrier.rank, range(carrier.size), [tag] * carrier.size, name)
    carrier.nodes = gather(lane, [leader(carrier.comm)])[:, 0].tolist()
    carrier.join()
    return lane


def _nodes(carrier: Carrier, ranks: Sequence[int]) -> tuple[int, ...]:
    lowest: dict[int, int] = {}
    return tuple(
        [lowest.setdefault(carrier.nodes[there], rank) for rank, there in enumerate(ranks)]
    )


def _tell(comm: MPI.Intracomm, mine: np.ndarray, seconds: float | None) -> np.ndarray:
    """What everyone tells; in one way, for other ranks may wait otherwise than this one."""
    everyone = np.empty((comm.Get_size(), mine.size), np.int64)
    request = MPI.Comm.Iallgather(comm, mine, everyone)
    if seconds is None:
        request.Wait()
        return everyone
    end = perf_counter() + seconds
    while not request.Test():
        if perf_counter() > end:
            limit_the_end(seconds)
            raise Timeout(
                f"the first collective of a communicator: no end within {seconds:g} s: "
                f"some of its {len(everyone)} ranks never came"
            )
        offer_core()
    return everyone
