"""How long a call takes on a machine on which all groups of its kind call at the same time.

A group is priced on the machine that it has: its ranks where they are, and of each link the share
that is left when the groups beside it use it as much.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from collectives.errors import RestrictionError, UnknownAlgorithm
from collectives.llm.flows import SEND, Flow, total
from collectives.machine.model import Machine
from collectives.machine.networks import Network
from collectives.study.pricing import price
from collectives.study.tables import candidates


@lru_cache(maxsize=1024)
def part_of(machine: Machine, ranks: int, group: tuple[int, ...]) -> Machine:
    """The machine as a group of its ranks has it, while all others do the same."""
    placed = machine.at(ranks)
    if placed is None or machine.network is None:
        return machine
    nodes = placed.groups
    mine = [(nodes[rank], placed.nic(rank)) for rank in group]
    every = [(node, placed.nic(rank)) for rank, node in enumerate(nodes)]
    here = mine[0][0]
    beside = nodes.count(here) / sum(node == here for node, _ in mine)  # groups on this node
    return replace(
        machine,
        network=_enough(machine.network, max(nodes) + 1),
        placement=tuple(placed.slots[rank] for rank in group),
        nic=machine.nic * mine.count(mine[0]) / every.count(mine[0]),
        link=machine.link / beside,
        memory=machine.memory / beside,
    )


def _enough(network: Network, nodes: int) -> Network:
    """A network that grows as needed, grown so far."""
    return replace(network, shape=(nodes,)) if network.nodes is None else network


def seconds(flow: Flow, algorithm: str, machine: Machine, ranks: int) -> list[tuple[float, int]]:
    """Seconds of each kind of call of a flow, and how many there are."""
    here = part_of(machine, ranks, flow.group)
    sent = ("bcast", "naive") if flow.primitive == SEND else (flow.primitive, algorithm)
    return [
        (price(*sent, len(flow.group), total(size) * flow.itemsize, here), times)
        for size, times in flow.calls
    ]


def fastest(flow: Flow, machine: Machine, ranks: int) -> tuple[str, float]:
    """The fastest algorithm for a flow, and seconds of all its calls.

    Compared are those that `auto` chooses from and the one with two levels.
    """
    prices: dict[str, float] = {}
    for name in (*candidates(flow.primitive), "hierarchical"):
        with suppress(RestrictionError, UnknownAlgorithm):  # it cannot do this
            prices[name] = sum(took * times for took, times in seconds(flow, name, machine, ranks))
    best = min(prices, key=prices.__getitem__)
    return best, prices[best]
