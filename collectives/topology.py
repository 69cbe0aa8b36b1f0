"""Where simulated ranks are: on nodes, within which messages are cheaper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collectives.engines.simulator import Clock
from collectives.nodes import grouping


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

    def groups(self, p: int) -> tuple[int, ...]:
        """The number of each rank's node.

        Raises
        ------
        ArgumentError
            There is not one number for each rank.
        """
        group = self.group if isinstance(self.group, int) else tuple(self.group)
        return grouping("Nodes", p, group)
