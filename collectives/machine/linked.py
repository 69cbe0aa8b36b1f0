"""The links of a machine, as algorithms are told of them that are made for a network."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from collectives.algorithms.language.links import Links

from .model import Machine, on_nodes
from .spec import machine as made

# What nodes are taken for of which nothing is known but who is on them.
ANY_NODES = "nodes:x1,nic=25G"


@lru_cache(maxsize=16)
def links_of(machine: Machine, p: int) -> Links:
    """The links between p ranks of a machine.

    Raises
    ------
    ArgumentError
        It has fewer places.
    """
    placed = machine.at(p)
    groups = machine.groups(p)
    ways = machine.way(near=True).byte, machine.way().byte
    rates = [link.rate for link in placed.links] if placed else []

    def route(source: int, dest: int) -> tuple[int, ...]:
        return placed.route(source, dest) if placed else ()

    def byte(source: int, dest: int) -> float:
        port = ways[groups[source] != groups[dest]]
        return max([port, *(1 / rates[link] for link in route(source, dest))])

    free = not any(ways) and not rates  # then one way is as good as another
    return Links(p, rates, route, (lambda source, dest: 1.0) if free else byte, machine.clock.gamma)


def some_machine(groups: tuple[int, ...]) -> Machine:
    """A machine whose nodes have these ranks: one NIC each, and memory that is faster."""
    nodes, usual = on_nodes(groups), made(ANY_NODES)
    return replace(usual, network=nodes.network, ranks=nodes.ranks, placement=nodes.placement)


def machine_for(topology: Any) -> Machine:
    """The machine that a parameter `topology` means: in brackets if it has commas."""
    bracketed = isinstance(topology, str) and topology[:1] + topology[-1:] == "()"
    return made(topology[1:-1] if bracketed else topology)
