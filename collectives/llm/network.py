"""How long a call takes on a machine on which all groups of its kind call at the same time.

A group is priced on the machine that it has: its ranks where they are, and of each link the share
that is left when the groups beside it use it as much.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

import numpy as np

from collectives.catalogue import find
from collectives.errors import CollectiveError
from collectives.llm.flows import SEND, Flow, Size, total
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.machine.networks import Network
from collectives.study.cost import predicted_time
from collectives.study.simulation import simulate
from collectives.study.tables import candidates

# Groups of more ranks are priced by the algorithm's cost line and the clock between nodes.
SIMULATED = 128

_DTYPES = {1: "u1", 2: "f2", 4: "f4", 8: "f8"}


@lru_cache(maxsize=1024)
def part_of(machine: Machine, ranks: int, group: tuple[int, ...]) -> Machine:
    """The machine as a group of its ranks has it, while all others do the same."""
    if machine.network is None:
        return machine
    nodes = machine.groups(ranks)
    seats = _seats(nodes)
    mine = [(nodes[rank], seats[rank] * machine.nics // machine.ranks) for rank in group]
    every = [(node, seat * machine.nics // machine.ranks) for node, seat in zip(nodes, seats)]
    here = mine[0][0]
    beside = nodes.count(here) / sum(node == here for node, _ in mine)
    part = replace(
        machine,
        network=_enough(machine.network, max(nodes) + 1),
        placement=tuple(nodes[rank] * machine.ranks + seats[rank] for rank in group),
        nic=machine.nic * mine.count(mine[0]) / every.count(mine[0]),
        link=machine.link / beside,
        memory=machine.memory / beside,
    )
    return _simpler(part) if len(set(mine)) == len(group) else part


def _simpler(machine: Machine) -> Machine:
    """The same machine where every rank has a NIC to itself: its rate is one of the clock's."""
    clock = machine.clock
    if not isinstance(clock, Clock) or machine.nic == math.inf or machine.near is None:
        return machine
    slower = replace(clock, beta=max(clock.beta, 1 / machine.nic))
    return replace(machine, nic=math.inf, nics=1, clock=slower)


def _seats(nodes: Sequence[int]) -> list[int]:
    """The place of each rank among those of its node."""
    taken: Counter[int] = Counter()
    found = []
    for node in nodes:
        found.append(taken[node])
        taken[node] += 1
    return found


def _enough(network: Network, nodes: int) -> Network:
    """A network that grows as needed, grown so far."""
    return replace(network, shape=(nodes,)) if network.nodes is None else network


@lru_cache(maxsize=65536)
def call(
    primitive: str, algorithm: str, p: int, size: Size, itemsize: int, machine: Machine
) -> float:
    """Seconds of one call."""
    if primitive == SEND:
        done = simulate("bcast", "naive", p=2, n=total(size) * itemsize, topology=machine)
        return done.time
    if p > SIMULATED:
        clock = Clock(
            machine.clock.alpha, max(machine.clock.beta, 1 / machine.nic), machine.clock.gamma
        )
        chosen, parameters = find(primitive, algorithm)
        return predicted_time(chosen, p, total(size) * itemsize, clock, **parameters)
    dtype = np.dtype(_DTYPES.get(itemsize, f"V{itemsize}"))
    long = {"n": size} if isinstance(size, int) else {"counts": size}
    return simulate(primitive, algorithm, p=p, dtype=dtype, topology=machine, **long).time


def seconds(flow: Flow, algorithm: str, machine: Machine, ranks: int) -> list[tuple[float, int]]:
    """Seconds of each kind of call of a flow, and how many there are."""
    here = part_of(machine, ranks, flow.group)
    p = len(flow.group)
    return [
        (call(flow.primitive, algorithm, p, size, flow.itemsize, here), times)
        for size, times in flow.calls
    ]


def fastest(flow: Flow, machine: Machine, ranks: int) -> tuple[str, float]:
    """The fastest algorithm for a flow, and seconds of all its calls.

    Compared are those that `auto` chooses from and the one with two levels.
    """
    prices: dict[str, float] = {}
    for name in (*candidates(flow.primitive), "hierarchical"):
        with suppress(CollectiveError):  # it cannot do this
            prices[name] = sum(took * times for took, times in seconds(flow, name, machine, ranks))
    best = min(prices, key=prices.__getitem__)
    return best, prices[best]
