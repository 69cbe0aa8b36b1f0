"""Who talks to whom: rings, trees and hypercubes over the ranks 0 .. p-1."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple


def neighbours(rank: int, p: int) -> tuple[int, int]:
    """The ranks to the left and to the right on a ring of p ranks."""
    return (rank - 1) % p, (rank + 1) % p


def floor_lg(p: int) -> int:
    """The largest k with 2**k <= p."""
    return p.bit_length() - 1


def ceil_lg(p: int) -> int:
    """The smallest k with 2**k >= p."""
    return (p - 1).bit_length()


def distances(p: int, radix: int = 2) -> list[int]:
    """1, 2, 4, ... below p: the ceil(lg p) strides of a doubling algorithm.

    To another radix 1, radix, radix**2, ...

    Raises
    ------
    ValueError
        The radix is less than 2.
    """
    if radix < 2:
        raise ValueError(f"radix must be at least 2, got {radix}")
    strides, stride = [], 1
    while stride < p:
        strides.append(stride)
        stride *= radix
    return strides


def digits(p: int, radix: int) -> list[tuple[int, int]]:
    """How often, and at what stride, a group grows: up to `radix`-fold each time.

    (radix, 1), (radix, radix), ... and last the first digit of p to that radix, if
    that is not 1. Their product is the largest number up to p with one digit
    that is not 0.
    """
    stages = [(min(radix, p // stride), stride) for stride in distances(p, radix)]
    return [(groups, stride) for groups, stride in stages if groups > 1]


def rows(p: int) -> int:
    """The rows of the most nearly square grid of p ranks: no more than columns."""
    return max(r for r in range(1, p + 1) if r * r <= p and p % r == 0)


def powers(p: int) -> list[int]:
    """The powers of two that p is the sum of, the largest first."""
    return [1 << k for k in reversed(range(p.bit_length())) if p >> k & 1]


def ratios(p: int) -> int:
    """How many times as large each of `powers(p)` is as the next, added up."""
    return sum(large // small for large, small in pairwise(powers(p)))


def skips(p: int) -> list[int]:
    """1, ..., ceil(p/4), ceil(p/2), p: halved until 1, rounded up each time.

    The first ceil(lg p) are the strides of a circulant graph; for a power of two
    they are 1, 2, 4, ...
    """
    found = [p]
    while found[-1] > 1:
        found.append((found[-1] + 1) // 2)
    return found[::-1]


class Branch(NamedTuple):
    """A subtree: its root, and the ranks `first` .. `last - 1` that it holds."""

    root: int
    first: int
    last: int


class Tree(NamedTuple):
    """What one rank sees of a tree: its parent, its children, its own subtree."""

    parent: int | None
    children: list[Branch]
    mine: Branch


def binomial_tree(rank: int, p: int, root: int = 0) -> Tree:
    """The place of `rank` in a binomial tree over p ranks, rooted anywhere.

    The ranks are halved again and again: a group of m ranks splits into its
    first 2**k (the largest power of two below m) and the rest. The half without
    the group's root is led by its first rank, which becomes a child of that
    root. Every subtree is therefore a run of neighbouring ranks, so blocks stay
    in place and operands stay in rank order whatever the root. With root 0 this
    is the textbook tree: a parent is its child with the lowest set bit cleared.

    Returns
    -------
    Tree
        `children` come with the largest subtree first: the order in which a
        broadcast serves them; a reduction hears them in reverse.
    """
    return knomial_tree(rank, p, root, 2)


def knomial_tree(rank: int, p: int, root: int = 0, k: int = 4) -> Tree:
    """The place of `rank` in a k-nomial tree over p ranks, rooted anywhere.

    As `binomial_tree`, but a group splits into up to k pieces at once: a
    power of k long, the last one perhaps shorter. The pieces without the
    group's root are led by their first ranks, all of them its children.

    Returns
    -------
    Tree
        `children` come from the widest split to the narrowest, within a split
        from the farthest piece to the nearest on either side: the order in which
        a broadcast serves them. A reduction hears them in reverse, and then what
        arrives always adjoins the run of ranks that it has already.

    Raises
    ------
    ValueError
        k is less than 2.
    """
    if k < 2:
        raise ValueError(f"k must be at least 2, got {k}")
    parent: int | None = None
    children: list[Branch] = []
    mine = Branch(root, 0, p)
    leader, first, last = root, 0, p
    while last - first > 1:
        width = 1
        while width * k < last - first:
            width *= k
        piece = [Branch(at, at, min(at + width, last)) for at in range(first, last, width)]
        own, home = (rank - first) // width, (leader - first) // width
        if own != home:
            parent, children, mine = leader, [], piece[own]
            leader = mine.root
        elif rank == leader:
            children += piece[:home:-1] + piece[:home]
        _, first, last = piece[own]
    return Tree(parent, children, mine)


def in_order_tree(rank: int, p: int, root: int) -> Tree:
    """The place of `rank` in a binary tree whose in-order walk is 0 .. p-1.

    A rank's left subtree holds the ranks just below it, its right subtree those
    just above it, so operands meet in rank order. Below the root every run of
    ranks is led by its middle: the two subtrees differ by at most one rank, the
    left one being the larger. The root may be anywhere; p // 2 is the middle.

    Returns
    -------
    Tree
        Up to two children, the left one first.
    """
    parent: int | None = None
    leader, first, last = root, 0, p
    while True:
        left, right = (first, leader), (leader + 1, last)
        runs = [(start, stop) for start, stop in (left, right) if start < stop]
        children = [Branch((start + stop) // 2, start, stop) for start, stop in runs]
        if rank == leader:
            return Tree(parent, children, Branch(leader, first, last))
        parent = leader
        leader, first, last = children[0] if rank < leader else children[-1]


class Fold(NamedTuple):
    """p ranks folded onto the largest power of two, `size`, that fits.

    The first 2 * `extra` ranks pair up, an even one with the odd one after it.
    One of the two plays for both: the odd one, unless the other is `keep`.
    Each player stands for neighbouring ranks, and players are in rank order.
    """

    size: int
    extra: int
    keep: int | None = None

    def rank(self, player: int) -> int:
        """The rank that plays as number `player`."""
        if player >= self.extra:
            return player + self.extra
        return 2 * player + (2 * player != self.keep)

    def player(self, rank: int) -> int | None:
        """The number under which `rank` plays, None if it sits out."""
        player = rank // 2 if rank < 2 * self.extra else rank - self.extra
        return player if self.rank(player) == rank else None

    def mate(self, rank: int) -> int | None:
        """The other rank of the pair, None for a rank without one."""
        return rank ^ 1 if rank < 2 * self.extra else None

    def span(self, player: int, group: int = 1) -> slice:
        """The ranks that an aligned group of players stands for.

        `group` is a power of two; the group is the one that `player` is in.
        """
        first = player - player % group
        return slice(self.first(first), self.first(first + group))

    def first(self, player: int) -> int:
        """The first of the ranks that a player stands for."""
        return player + min(player, self.extra)


def fold(p: int, keep: int | None = None) -> Fold:
    """Fold p ranks onto a power of two, so that rank `keep` is a player."""
    size = 1 << floor_lg(p)
    return Fold(size, p - size, keep)


def bit_reversed(size: int) -> list[int]:
    """0 .. size-1 (a power of two) sorted by their bits read backwards."""
    order = [0]
    while len(order) < size:
        order = [2 * i for i in order] + [2 * i + 1 for i in order]
    return order
