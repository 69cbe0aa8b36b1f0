"""Networks: which links lie between two nodes. Every link has one direction and one rate.

A network knows nodes by their numbers and links by theirs. The links by which a node enters
the network, its NICs, are not among them: `placed` puts them at both ends of a route.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from math import prod
from typing import ClassVar


@dataclass(frozen=True)
class Network:
    """Nodes, and routes between them.

    Attributes
    ----------
    kind : str
        The name by which a machine's description knows it.
    """

    kind: ClassVar[str] = ""
    shape: tuple[int, ...]

    @property
    def nodes(self) -> int | None:
        """How many there are; None if as many as it takes."""
        raise NotImplementedError

    @property
    def most(self) -> int:
        """There are not more links than so many, whose names have not been made."""
        return 0

    @cached_property
    def links(self) -> list[str]:
        """The name of each link."""
        return []

    def route(self, source: int, dest: int) -> tuple[int, ...]:
        """The links from one node to another one, in order: numbers into `links`."""
        return ()

    def __str__(self) -> str:
        return f"{self.kind}:{'x'.join(map(str, self.shape))}"


class Star(Network):
    """All nodes on one switch that never is the limit: only NICs are shared.

    The shape is the number of nodes; () is as many as it takes.
    """

    kind = "star"

    @property
    def nodes(self) -> int | None:
        return self.shape[0] if self.shape else None


class Torus(Network):
    """A grid that closes in every dimension; a torus of one dimension is a ring.

    Messages go dimension by dimension, the last one first, the shorter way round, and
    upwards where both are equally long.
    """

    kind = "torus"

    @property
    def nodes(self) -> int:
        return prod(self.shape)

    @property
    def most(self) -> int:
        return 2 * self.nodes * len(self.shape)

    @cached_property
    def links(self) -> list[str]:
        return [f"link from node {a} to node {b}" for a, b in self._numbers]

    @cached_property
    def _numbers(self) -> dict[tuple[int, int], int]:
        """The number of the link between each two neighbours."""
        found: dict[tuple[int, int], int] = {}
        for place in product(*map(range, self.shape)):
            for axis, step in product(range(len(self.shape)), (1, -1)):
                pair = self._node(place), self._node(self._moved(place, axis, step))
                if pair[0] != pair[1]:
                    found.setdefault(pair, len(found))
        return found

    def _node(self, place: tuple[int, ...]) -> int:
        number = 0
        for size, index in zip(self.shape, place):
            number = number * size + index
        return number

    def _place(self, node: int) -> tuple[int, ...]:
        place: list[int] = []
        for size in reversed(self.shape):
            node, index = divmod(node, size)
            place.insert(0, index)
        return tuple(place)

    def _moved(self, place: tuple[int, ...], axis: int, step: int) -> tuple[int, ...]:
        index = (place[axis] + step) % self.shape[axis]
        return (*place[:axis], index, *place[axis + 1 :])

    def route(self, source: int, dest: int) -> tuple[int, ...]:
        place, aim = self._place(source), self._place(dest)
        way = [place]
        for axis in reversed(range(len(self.shape))):
            size = self.shape[axis]
            ahead = (aim[axis] - place[axis]) % size
            step, hops = (1, ahead) if 2 * ahead <= size else (-1, size - ahead)
            for _ in range(hops):
                place = self._moved(place, axis, step)
                way.append(place)
        return tuple([self._numbers[pair] for pair in pairwise(map(self._node, way))])


class FatTree(Network):
    """Two levels of switches: leaves with nodes below them, each joined to every upper switch.

    The shape is (leaves, nodes on each, upper switches): 8x8x8 has full bisection, 8x8x2 is
    oversubscribed 4:1. A message goes up to the switch dest mod upper switches (D-mod-k):
    whatever goes to one node comes by one way.
    """

    kind = "fattree"

    @property
    def nodes(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def most(self) -> int:
        return 2 * self.shape[0] * self.shape[2]

    @cached_property
    def links(self) -> list[str]:
        leaves, _, upper = self.shape
        pairs = list(product(range(leaves), range(upper)))
        up = [f"link from leaf {leaf} up to switch {switch}" for leaf, switch in pairs]
        return up + [f"link from switch {switch} down to leaf {leaf}" for leaf, switch in pairs]

    def route(self, source: int, dest: int) -> tuple[int, ...]:
        leaves, size, upper = self.shape
        here, there, switch = source // size, dest // size, dest % upper
        if here == there:
            return ()
        return here * upper + switch, (leaves + there) * upper + switch


class Dragonfly(Network):
    """Groups of routers: all routers of a group are joined, and all groups, by one link each way.

    The shape is (groups, routers of a group, nodes on each router). A group's links to the
    others are dealt out to its routers in order, beginning with the next group. A message
    takes the one shortest way: to the router that has the link, over, and to the router of dest.
    """

    kind = "dragonfly"

    @property
    def nodes(self) -> int:
        return prod(self.shape)

    @property
    def most(self) -> int:
        return self.shape[0] * (self.shape[0] + self.shape[1] ** 2)

    @cached_property
    def links(self) -> list[str]:
        return [
            f"link from group {a} to group {b}"
            if x is None
            else f"link from router {x} to router {y} of group {a}"
            for a, b, x, y in self._numbers
        ]

    @cached_property
    def _numbers(self) -> dict[tuple, int]:
        groups, routers, _ = self.shape
        pairs: list[tuple] = [(x, y) for x, y in product(range(routers), repeat=2) if x != y]
        within: list[tuple] = [(group, group, x, y) for group in range(groups) for x, y in pairs]
        over = [(a, b, None, None) for a, b in product(range(groups), repeat=2) if a != b]
        return {link: number for number, link in enumerate([*within, *over])}

    def _gate(self, group: int, other: int) -> int:
        """The router of a group that has the link to another one."""
        groups, routers, _ = self.shape
        each = -(-(groups - 1) // routers)
        return ((other - group - 1) % groups) // each

    def route(self, source: int, dest: int) -> tuple[int, ...]:
        _, routers, size = self.shape
        (a, x), (b, y) = (divmod(node // size, routers) for node in (source, dest))
        hops: list[tuple] = [(a, a, x, y)]
        if a != b:
            out, into = self._gate(a, b), self._gate(b, a)
            hops = [(a, a, x, out), (a, b, None, None), (b, b, into, y)]
        return tuple([self._numbers[hop] for hop in hops if hop[2] is None or hop[2] != hop[3]])
