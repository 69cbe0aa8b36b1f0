"""Nodes: which ranks form a group.

Algorithms with two levels are given `groups`, a tuple with the number of each rank's
group. Who calls one may say what the groups are, with the parameter `group`: so many
neighbouring ranks each, or a number for every rank, in any order. Otherwise MPI is
asked which ranks share memory; on a single machine that is one group of all ranks.
The simulator takes the nodes of its machine, and without any
it is `SIMULATED` neighbouring ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from collectives import checks
from collectives.errors import ArgumentError

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
        There is not one number for each rank, or no rank in a group.

    Examples
    --------
    >>> grouping("bcast.hierarchical", 5, 2)
    (0, 0, 1, 1, 2)
    """
    if isinstance(group, (tuple, list)):
        if len(group) != p or not all(map(checks.is_integer, group)):
            raise ArgumentError(
                f"{title}: group must be a number of ranks or {p} integers, the group of each "
                f"rank, got {group!r}"
            )
        return tuple(map(int, group))
    size = SIMULATED if group is None else checks.integer(title, "group", group, 1)
    return tuple(rank // size for rank in range(p))


def in_order(groups: Sequence[int]) -> bool:
    """Whether every group is a run of neighbouring ranks."""
    runs = [number for number, _ in groupby(groups)]
    return len(runs) == len(set(runs))
