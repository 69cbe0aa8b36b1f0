"""How long a call takes on a machine on which all groups of its kind call at the same time.

A group is priced on the machine that it has: its ranks where they are, and of each link the share
that is left when the groups beside it use it as much.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np

from collectives.errors import CollectiveError
from collectives.llm.flows import SEND, Flow, Size, total
from collectives.machine import Machine
from collectives.study.pricing import candidates
from collectives.study.simulation import simulate

_DTYPES = {1: "u1", 2: "f2", 4: "f4", 8: "f8"}


def part_of(machine: Machine, ranks: int, group: tuple[int, ...]) -> Machine:
    """The machine as a group of its ranks has it, while all others do the same."""
    placed = machine.at(ranks)
    if placed is None:
        return machine
    mine = Counter(placed.groups[rank] for rank in group)
    node = placed.groups[group[0]]
    beside = Counter(placed.groups)[node] / mine[node]  # groups that share this node
    return replace(
        machine,
        placement=tuple(placed.slots[rank] for rank in group),
        nic=machine.nic / beside,
        link=machine.link / beside,
        memory=machine.memory / beside,
    )


@lru_cache(maxsize=65536)
def call(
    primitive: str, algorithm: str, p: int, size: Size, itemsize: int, machine: Machine
) -> float:
    """Seconds of one call."""
    if primitive == SEND:
        done = simulate("bcast", "naive", p=2, n=total(size) * itemsize, topology=machine)
        return done.time
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


def fastest(flow: Flow, machine: Machine, ranks: int) -> str:
    """Of the algorithms that `auto` chooses from, and the two-level one, the fastest for a flow."""
    if flow.primitive == SEND:
        return ""
    here = part_of(machine, ranks, flow.group)
    names = [*candidates(flow.primitive), "hierarchical"]
    prices = {}
    for name in names:
        try:
            prices[name] = sum(
                times * call(flow.primitive, name, len(flow.group), size, flow.itemsize, here)
                for size, times in flow.calls
            )
        except CollectiveError:  # it cannot do this
            continue
    return min(prices, key=prices.__getitem__)
