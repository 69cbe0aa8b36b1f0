"""Which ranks form a group, such as those that share a node.

Algorithms with two levels are given `groups`, a tuple with the number of each rank's
group. Who calls one may say what the groups are, with the parameter `group`: so many
neighbouring ranks each, or a number for every rank, in any order. Otherwise MPI is
asked which ranks share memory; on a single machine that is one group of all ranks.
The simulator takes them from its topology (`collectives.topology.Nodes`), and without one
it is `SIMULATED` neighbouring ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from collectives.errors import ArgumentError

if TYPE_CHECKING:
    from mpi4py import MPI

SIMULATED = 4


def grouping(title: str, p: int, group: Any = None) -> tuple[int, ...]:
    """The number of each rank's group.

    Parameters
    ----------
    title : str
        Full name of the algorithm, for messages.
    p : int
        Number of ranks.
    group : int or sequence of int, optional
        So many neighbouring ranks in each group, the last one perhaps fewer; or the
        number of each rank's group. `SIMULATED` by default.

    Raises
    ------
    ArgumentError
        There is not one number for each rank.

    Examples
    --------
    >>> grouping("bcast.hierarchical", 5, 2)
    (0, 0, 1, 1, 2)
    """
    if isinstance(group, (tuple, list)):
        if len(group) != p or not all(isinstance(number, int) for number in group):
            raise ArgumentError(
                f"{title}: group must be a number of ranks or {p} integers, the group of each "
                f"rank, got {group!r}"
            )
        return tuple(group)
    size = SIMULATED if group is None else group
    return tuple(rank // size for rank in range(p))


def in_order(groups: Sequence[int]) -> bool:
    """Whether every group is a run of neighbouring ranks."""
    runs = [number for number, _ in groupby(groups)]
    return len(runs) == len(set(runs))


def detect(comm: MPI.Intracomm) -> tuple[int, ...]:
    """For each rank the lowest one that shares memory with it. Collective."""
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    leader = node.bcast(comm.Get_rank(), 0)
    node.Free()
    return tuple(comm.allgather(leader))
