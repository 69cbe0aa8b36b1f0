"""Nodes: which ranks form a group.

Algorithms with two levels are given `groups`, a tuple with the number of each rank's
group. Who calls one may say what the groups are, with the parameter `group`: so many
neighbouring ranks each, or a number for every rank, in any order. Otherwise MPI is
asked which ranks share memory; on a single machine that is one group of all ranks.
The simulator takes the nodes of its machine, and without any
it is `SIMULATED` neighbouring ranks.

An algorithm that is made for one network is given its `links`. Who calls it may describe
the network, with the parameter `topology`; otherwise it is that of the simulated machine, or
what nodes usually have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from collectives import checks
from collectives.algorithms.language.links import Links
from collectives.algorithms.language.registry import GROUP, LINKS, TOPOLOGY, Algorithm
from collectives.errors import ArgumentError
from collectives.machine.linked import links_of, machine_for, some_machine
from collectives.machine.model import Machine

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


def layout(
    algorithm: Algorithm,
    p: int,
    given: Mapping[str, Any],
    nodes: Sequence[int] | None = None,
    machine: Machine | None = None,
) -> tuple[int, ...] | Links | None:
    """What an algorithm is given that asks for `groups`, or for `links`; None if for neither.

    Parameters
    ----------
    algorithm : Algorithm
    p : int
        Number of ranks.
    given : mapping
        Its parameters, of which `group` and `topology` are read; or `links`, from an earlier call.
    nodes : sequence of int, optional
        The node of each rank, if the caller says nothing.
    machine : Machine, optional
        With nodes, on which it runs.

    Raises
    ------
    ArgumentError
        As `grouping`, or the topology is none, or too small.
    """
    title, group, topology = str(algorithm), given.get(GROUP), given.get(TOPOLOGY)
    if LINKS in given or not algorithm.needs_groups:
        return given.get(LINKS)
    if algorithm.needs_links and topology is not None:
        try:
            return links_of(machine_for(topology), p)
        except ArgumentError as error:
            raise ArgumentError(f"{title}: topology: {error}") from None
    if algorithm.needs_links and group is None and machine is not None:
        return links_of(machine.asked or machine, p)
    groups = tuple(nodes) if group is None and nodes else grouping(title, p, group)
    return links_of(some_machine(groups), p) if algorithm.needs_links else groups


def in_order(groups: Sequence[int]) -> bool:
    """Whether every group is a run of neighbouring ranks."""
    runs = [number for number, _ in groupby(groups)]
    return len(runs) == len(set(runs))
