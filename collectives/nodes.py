"""Nodes: which ranks form a group, and what messages cost within it.

Algorithms with two levels are given `groups`, a tuple with the number of each rank's
group. Who calls one may say what the groups are, with the parameter `group`: so many
neighbouring ranks each, or a number for every rank, in any order. Otherwise MPI is
asked which ranks share memory; on a single machine that is one group of all ranks.
The simulator takes them from its topology (`Nodes`), and without one
it is `SIMULATED` neighbouring ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from collectives import checks
from collectives.engines.simulator import Clock
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


@dataclass(frozen=True)
class Nodes:
    """Nodes of several ranks each.

    Two ranks of a node send each other messages under a clock of their own; between
    nodes the simulator's holds. Every rank keeps its own ports: ranks of a node do not
    share a way out. Algorithms with two levels take the nodes as their groups.

    Attributes
    ----------
    group : int or sequence of int
        So many neighbouring ranks on each node, or the number of each rank's node.
    near : Clock
        For messages within a node; its gamma is not used.

    Raises
    ------
    ArgumentError
        They are something else.

    Examples
    --------
    >>> from collectives import simulate
    >>> nodes = Nodes(4, near=Clock(alpha=1, beta=0))
    >>> far = Clock(alpha=10, beta=0)
    >>> [simulate("bcast", name, p=16, clock=far, topology=nodes).time
    ...  for name in ("hierarchical", "ring:segments=1")]
    [22.0, 42.0]
    """

    group: int | Sequence[int]
    near: Clock

    def __post_init__(self) -> None:
        checks.instance("Nodes", "near", self.near, Clock)
        if isinstance(self.group, (str, bytes)) or not isinstance(self.group, Iterable):
            checks.integer("Nodes", "group", self.group, 1)

    def groups(self, p: int) -> tuple[int, ...]:
        """The number of each rank's node.

        Raises
        ------
        ArgumentError
            There is not one number for each rank.
        """
        group = tuple(self.group) if isinstance(self.group, Iterable) else self.group
        return grouping("Nodes", p, group)
