"""What no algorithm can beat on a machine with nodes: bytes that must cross, and messages in a row.

The ranks are cut into parts: each for itself, the nodes, what lies below a leaf of a fat tree,
the groups of a dragonfly, the halves of a torus. Whatever the algorithm does, so many bytes must
leave each part and so many enter it, and they pass through what joins the part to the others.
With parts of one rank each these are the bounds of `bounds`, which has the arguments; a part is
a rank there, as ranks of a part can do no more together than put their bytes together.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from collectives.algorithms.language.registry import REDUCTIONS
from collectives.machine.model import Machine
from collectives.machine.networks import Dragonfly, FatTree, Network, Torus
from collectives.study.bounds import COMPUTATION, LATENCY, bounds
from collectives.units import format_bytes, rate


@dataclass(frozen=True)
class Parts:
    """The ranks cut into parts.

    Attributes
    ----------
    name : str
        What one part has to the others: ``the NICs of a node``.
    of : tuple of int
        The number of each rank's part.
    rates : tuple of float
        Bytes a second that can leave each part, and enter it.
    burst : int
        Bytes that can do so at once, beside these.
    """

    name: str
    of: tuple[int, ...]
    rates: tuple[float, ...]
    burst: int = 0


@dataclass(frozen=True)
class Least:
    """The least time that any algorithm takes, and why.

    Attributes
    ----------
    seconds : float
    because : str
    """

    seconds: float
    because: str


def least(primitive: str, p: int, n: int, machine: Machine) -> Least:
    """The greatest lower bound of the time that is known, with root 0.

    Parameters
    ----------
    primitive : str
    p : int
        Number of ranks.
    n : int
        Bytes of the whole vector.
    machine : Machine

    Examples
    --------
    >>> from collectives.machine import machine
    >>> least("allreduce", 64, 10**8, machine("nodes:8x8,nic=25G")).because
    '167 MiB through the NIC of a node, at 25 Gbit/s'
    """
    found = [_latency(primitive, p, n, machine), _computation(primitive, p, n, machine)]
    found += [_through(primitive, p, n, parts) for parts in parts_of(machine, p)]
    return max(found, key=lambda bound: bound.seconds)


# Bytes that must cross.


def crossing(
    primitive: str, of: Sequence[int], n: int
) -> tuple[dict[int, float], dict[int, float], float]:
    """Bytes that must leave each part, bytes that must enter it, and all that must cross.

    Parameters
    ----------
    primitive : str
    of : sequence of int
        The number of each rank's part.
    n : int
        Bytes of the whole vector.
    """
    p, names = len(of), sorted(set(of))
    share = dict.fromkeys(names, 0.0)  # bytes of the vector that belong to a part
    for part in of:
        share[part] += n / p
    others = {part: n - share[part] for part in names}
    all_of_it: dict[int, float] = dict.fromkeys(names, float(n))
    none, home, q = dict.fromkeys(names, 0.0), of[0], len(names)
    if q == 1 or primitive == "barrier":
        return none, none, 0.0
    if primitive in ("bcast", "scatter"):
        to = all_of_it if primitive == "bcast" else share
        from_home = n if primitive == "bcast" else others[home]
        return {**none, home: from_home}, {**to, home: 0.0}, sum(to.values()) - to[home]
    if primitive in ("reduce", "gather"):
        out, into, total = crossing({"reduce": "bcast", "gather": "scatter"}[primitive], of, n)
        return into, out, total
    if primitive == "alltoall":
        ranks = {part: p * share[part] / n if n else 0 for part in names}
        both = {part: ranks[part] * others[part] for part in names}
        return both, both, sum(both.values())
    if primitive == "allgather":
        return share, others, sum(others.values())
    if primitive == "reduce_scatter":
        return others, share, sum(others.values())
    if primitive == "allreduce":
        return all_of_it, all_of_it, 2.0 * (q - 1) * n
    return _prefixes(of, n)


def _prefixes(of: Sequence[int], n: int) -> tuple[dict[int, float], dict[int, float], float]:
    """Of scan and exscan: who comes later, in another part, needs what comes before."""
    first, last = (
        {part: r for r, part in reversed(list(enumerate(of)))},
        dict(zip(of, range(len(of)))),
    )
    out = {
        part: float(n) * any(of[r] != part for r in range(first[part], len(of))) for part in last
    }
    into = {part: float(n) * any(of[r] != part for r in range(last[part])) for part in last}
    return out, into, max(sum(out.values()), sum(into.values()))


def _through(primitive: str, p: int, n: int, parts: Parts) -> Least:
    """What joins a part to the others is busy for so long."""
    out, into, total = crossing(primitive, parts.of, n)
    rates = dict(zip(sorted(set(parts.of)), parts.rates))
    every, number = sum(rates.values()), len(rates)
    limited = total - number * parts.burst
    shared = limited / every, total / number, next(iter(rates.values()))
    single = [
        ((x[part] - parts.burst) / rates[part], x[part], rates[part])
        for x in (out, into)
        for part in rates
    ]
    time, nbytes, speed = max([shared, *single])
    return Least(max(time, 0.0), f"{format_bytes(nbytes)} through {parts.name}, at {rate(speed)}")


# Parts.


def parts_of(machine: Machine, p: int) -> Iterator[Parts]:
    """All ways in which the ranks of a machine are cut."""
    placed = machine.at(p)
    nodes = p if placed is None else len(set(placed.groups))
    ways = [machine.way()] if nodes > 1 or p == 1 else []
    if nodes < p:
        ways.append(machine.way(near=True))
    port = 1 / max(min(way.byte for way in ways), 1e-30)
    yield Parts("the port of a rank", tuple(range(p)), (port,) * p)
    if placed is None:
        return
    far = 1 / max(machine.way().byte, 1e-30)
    nics: dict[int, dict[int, int]] = {}
    for rank, node in enumerate(placed.groups):
        mine = nics.setdefault(node, {})
        mine[placed.nic(rank)] = mine.get(placed.nic(rank), 0) + 1
    rates = [
        sum(min(machine.nic, ranks * far) for ranks in nics[node].values()) for node in sorted(nics)
    ]
    name = "the NIC of a node" if machine.nics == 1 else f"the {machine.nics} NICs of a node"
    yield Parts(name, placed.groups, tuple(rates), machine.nics * machine.burst)
    for name, area, links in _areas(placed.network):
        of = tuple(area(node) for node in placed.groups)
        yield Parts(name, of, (links * machine.link,) * len(set(of)))


def _areas(network: Network) -> Iterator[tuple[str, Callable[[int], int], int]]:
    """Areas of a network: a name, the area of a node, and links from one to all others."""
    if isinstance(network, FatTree):
        _, size, upper = network.shape
        yield f"the {upper} links up from a leaf", lambda node: node // size, upper
    elif isinstance(network, Dragonfly):
        groups, routers, size = network.shape
        links = f"the {groups - 1} links of a group"
        yield links, lambda node: node // (routers * size), groups - 1
    elif isinstance(network, Torus):
        for axis, length in enumerate(network.shape):
            if length < 3:
                continue
            across = 2 * network.nodes // length
            after = math.prod(network.shape[axis + 1 :])

            def half(node: int, after: int = after, length: int = length) -> int:
                return int(node // after % length >= length // 2)

            yield f"the {across} links between halves", half, across


# Messages in a row, and work.


def _latency(primitive: str, p: int, n: int, machine: Machine) -> Least:
    """How soon something of one rank can have come to all, or something of all to one."""
    if not (n or primitive == "barrier") or p == 1:
        return Least(0.0, "nothing to do")
    placed = machine.at(p)
    far, nodes = machine.way(), p if placed is None else len(set(placed.groups))
    near = far if nodes == p else machine.way(near=True)
    reached = max(min(n, p), 1) if primitive in ("scatter", "gather") else p
    fastest = min(_alone(far), _alone(near)), min(_again(far), _again(near))
    times = [_spread(reached, *fastest, 1)]
    if reached == p and nodes > 1:
        most = max(placed.groups.count(node) for node in set(placed.groups)) if placed else 1
        times.append(_spread(nodes, _alone(far), _again(far), most))
    messages = bounds(primitive, p, max(n, 1))[LATENCY]
    return Least(max(times), f"{messages} messages, one after the other")


def _alone(way) -> float:
    """Seconds until a short message has come."""
    return way.first + way.latency + 2 * way.overhead


def _again(way) -> float:
    """Seconds until the sender can send the next one."""
    return max(way.first + way.gap, way.overhead)


def _spread(places: int, alone: float, again: float, senders: int) -> float:
    """Seconds until all places have heard of something, with so many senders in each."""
    if not alone:
        return 0.0
    if again >= alone:
        return alone * math.ceil(round(math.log(places, 1 + senders), 9))
    if not again:
        return alone
    coming: list[tuple[float, int]] = []
    known, time = 1, 0.0
    heapq.heappush(coming, (alone, senders))
    while known < places:
        time, number = heapq.heappop(coming)
        known += number
        heapq.heappush(coming, (time + again, number))
        heapq.heappush(coming, (time + alone, number * senders))
    return time


def _computation(primitive: str, p: int, n: int, machine: Machine) -> Least:
    if primitive not in REDUCTIONS:
        return Least(0.0, "nothing to compute")
    nbytes = bounds(primitive, p, n)[COMPUTATION]
    time = nbytes * machine.clock.gamma
    return Least(time, f"{format_bytes(nbytes)} of results on a rank")
