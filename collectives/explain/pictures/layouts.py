"""Ranks on a ring, a line, a tree or a hypercube: whichever fits who talks to whom.

Places are in a square from 0 to 1, x to the right and y downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import cos, pi, sin

Link = tuple[int, int]
Points = list[tuple[float, float]]

RING, LINE, TREE, CUBE = "ring", "line", "tree", "hypercube"

# Where bits 0 to 3 of a rank lead in the picture of a hypercube.
CUBES = {
    2: ((1.0, 0.0), (0.0, 1.0)),
    3: ((0.68, 0.0), (0.0, 0.68), (0.32, 0.32)),
    4: ((0.36, 0.0), (0.0, 0.62), (0.17, 0.24), (0.47, 0.14)),
}


def fitting(p: int, links: Collection[Link]) -> str:
    """The layout for links between ranks."""
    parent = parents(p, links)
    if parent:
        near = all(one is None or abs(one - rank) == 1 for rank, one in enumerate(parent))
        return LINE if near and p > 1 else TREE
    cube = p & (p - 1) == 0 and 4 <= p <= 16
    if cube and all((a ^ b) & ((a ^ b) - 1) == 0 for a, b in links):
        return CUBE if len({min(a, b) * p + max(a, b) for a, b in links}) > p // 2 else RING
    return RING


def places(layout: str, p: int, links: Collection[Link]) -> Points:
    """Where the ranks are."""
    return {RING: _ring, LINE: _line, TREE: _tree, CUBE: _cube}[layout](p, links)


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


def _tree(p: int, links: Collection[Link]) -> Points:
    """Leaves side by side, every parent in the middle above its children."""
    parent = parents(p, links)
    assert parent
    children: list[list[int]] = [[] for _ in range(p)]
    for rank, one in enumerate(parent):
        if one is not None:
            children[one].append(rank)
    order = _downwards(children, parent.index(None))
    depth = [0] * p
    for rank in order[1:]:
        depth[rank] = depth[parent[rank] or 0] + 1
    leaves = [rank for rank in order if not children[rank]]
    across = {rank: float(number) for number, rank in enumerate(leaves)}
    for rank in reversed(order):
        if children[rank]:
            below = [across[child] for child in children[rank]]
            across[rank] = (min(below) + max(below)) / 2
    wide, deep = max(len(leaves) - 1, 1), max(max(depth), 1)
    alone = len(leaves) == 1
    return [(0.5 if alone else across[rank] / wide, depth[rank] / deep) for rank in range(p)]


def _downwards(children: list[list[int]], root: int) -> list[int]:
    """Ranks of a tree, each before its children, which are in order."""
    order, rest = [], [root]
    while rest:
        rank = rest.pop()
        order.append(rank)
        rest.extend(reversed(children[rank]))
    return order


def parents(p: int, links: Collection[Link]) -> list[int | None] | None:
    """The parent of each rank, if the links make one tree; its root has the shortest ways."""
    near: list[set[int]] = [set() for _ in range(p)]
    for one, other in links:
        near[one].add(other)
        near[other].add(one)
    if p < 2 or sum(map(len, near)) != 2 * (p - 1):
        return None
    best: tuple[int, list[int | None]] | None = None
    for root in range(p):
        found = _from(root, near)
        if found is None:
            return None
        if best is None or found[0] < best[0]:
            best = found
    return best[1] if best else None


def _from(root: int, near: list[set[int]]) -> tuple[int, list[int | None]] | None:
    """How deep the tree is from a root, and the parents; None if not all ranks are reached."""
    depth, parent = {root: 0}, [None] * len(near)  # type: tuple[dict, list[int | None]]
    queue = [root]
    for rank in queue:
        for peer in sorted(near[rank] - depth.keys()):
            depth[peer], parent[peer] = depth[rank] + 1, rank
            queue.append(peer)
    return (max(depth.values()), parent) if len(depth) == len(near) else None
