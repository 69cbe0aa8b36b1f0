"""Ranks on a ring, a line, as trees or as a hypercube: whichever fits who talks to whom.

Places are in a square from 0 to 1, x to the right and y downwards.
"""

from __future__ import annotations

from collections.abc import Collection
from math import cos, pi, sin

Link = tuple[int, int]
Points = list[tuple[float, float]]

RING, LINE, FOREST, CUBE = "ring", "line", "forest", "hypercube"

# Where bits 0 to 3 of a rank lead in the picture of a hypercube.
CUBES = {
    2: ((1.0, 0.0), (0.0, 1.0)),
    3: ((0.7, 0.0), (0.0, 0.68), (0.3, 0.32)),
    4: ((0.28, 0.0), (0.0, 0.62), (0.13, 0.24), (0.59, 0.14)),
}


def fitting(p: int, links: Collection[Link]) -> str:
    """The layout for links between ranks."""
    parent = parents(p, links)
    if parent is not None:
        steps = [abs(one - rank) for rank, one in enumerate(parent) if one is not None]
        idle = p - len({rank for link in links for rank in link})
        if len(steps) == p - 1 and set(steps) == {1}:
            return LINE
        return RING if 2 * idle > p else FOREST
    both = {(min(link), max(link)) for link in links}
    bits = p.bit_length() - 1
    if p == 1 << bits and bits in CUBES and 2 * len(both) == p * bits:
        return CUBE if all((a ^ b) & ((a ^ b) - 1) == 0 for a, b in both) else RING
    return RING


def places(layout: str, p: int, links: Collection[Link]) -> Points:
    """Where the ranks are."""
    return {RING: _ring, LINE: _line, FOREST: _forest, CUBE: _cube}[layout](p, links)


def _ring(p: int, links: Collection[Link]) -> Points:
    angles = [2 * pi * rank / p - pi / 2 for rank in range(p)]
    return [(0.5 + 0.5 * cos(angle), 0.5 + 0.5 * sin(angle)) for angle in angles]


def _line(p: int, links: Collection[Link]) -> Points:
    return [(rank / max(p - 1, 1), 0.5) for rank in range(p)]


def _cube(p: int, links: Collection[Link]) -> Points:
    shifts = CUBES[p.bit_length() - 1]
    return [
        (
            sum(x for bit, (x, _) in enumerate(shifts) if rank >> bit & 1),
            sum(y for bit, (_, y) in enumerate(shifts) if rank >> bit & 1),
        )
        for rank in range(p)
    ]


def _forest(p: int, links: Collection[Link]) -> Points:
    """Leaves side by side, every parent in the middle above its children."""
    parent = parents(p, links) or [None] * p
    children: list[list[int]] = [[] for _ in range(p)]
    for rank, one in enumerate(parent):
        if one is not None:
            children[one].append(rank)
    order = _downwards(children, [rank for rank, one in enumerate(parent) if one is None])
    depth, across, leaves = [0] * p, [0.0] * p, 0
    for rank in order:
        above = parent[rank]
        depth[rank] = 0 if above is None else depth[above] + 1
        if not children[rank]:
            across[rank], leaves = leaves, leaves + 1
    for rank in reversed(order):
        if children[rank]:
            below = [across[child] for child in children[rank]]
            across[rank] = (min(below) + max(below)) / 2
    wide, deep = max(leaves - 1, 1), max(max(depth), 1)
    return [
        (0.5 if leaves == 1 else x / wide, y / deep) for x, y in zip(across, depth, strict=True)
    ]


def _downwards(children: list[list[int]], roots: list[int]) -> list[int]:
    """Ranks of trees, each before its children, which are in order."""
    order, rest = [], roots[::-1]
    while rest:
        rank = rest.pop()
        order.append(rank)
        rest.extend(reversed(children[rank]))
    return order


def parents(p: int, links: Collection[Link]) -> list[int | None] | None:
    """The parent of each rank if the links make trees, None of a root; None if they do not.

    All messages of a tree go down from its root, or up to it, if there is such a root;
    otherwise it is the rank with the shortest ways.
    """
    near: list[set[int]] = [set() for _ in range(p)]
    for one, other in links:
        near[one].add(other)
        near[other].add(one)
    found: list[int | None] = [None] * p
    seen: set[int] = set()
    for rank in range(p):
        if rank not in seen:
            members = set(_depths(rank, near)[0])
            if sum(len(near[member]) for member in members) != 2 * (len(members) - 1):
                return None
            seen |= members
            for member, above in _rooted(members, near, set(links)).items():
                found[member] = above
    return found


def _rooted(members: set[int], near: list[set[int]], links: set[Link]) -> dict[int, int | None]:
    """The parents in one tree."""

    def badness(root: int) -> tuple[int, int, int]:
        depth, parent = _depths(root, near)
        edges = [(above, rank) for rank, above in parent.items() if above is not None]
        down = sum(edge in links for edge in edges)
        up = sum(edge[::-1] in links for edge in edges)
        one_way = len(edges) in (down, up)
        return 0 if one_way else 1, max(depth.values()), root

    return _depths(min(members, key=badness), near)[1]


def _depths(root: int, near: list[set[int]]) -> tuple[dict[int, int], dict[int, int | None]]:
    """How far ranks are from a root, and the rank before each on the way from there."""
    depth: dict[int, int] = {root: 0}
    parent: dict[int, int | None] = {root: None}
    queue = [root]
    for rank in queue:
        for peer in sorted(near[rank] - depth.keys()):
            depth[peer], parent[peer] = depth[rank] + 1, rank
            queue.append(peer)
    return depth, parent
