"""One shape for each collective: how many elements every rank has, and where.

Every function here draws the same numbers on all ranks and returns one pair of
sides, what is sent and what is received, for each rank. None is what is not
significant there.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

LARGE = 40_000  # bytes: more than any MPI sends eagerly


class Side(NamedTuple):
    """One buffer of one rank.

    Attributes
    ----------
    counts : list of int
        Elements in each block; of blocks of equal length MPI is given one count.
    displs : list of int or None
        Where the blocks start; None if one follows the other.
    length : int
        Elements of memory.
    vector : bool
        Whether it is spelled with a list of counts.
    """

    counts: list[int]
    displs: list[int] | None
    length: int
    vector: bool = False


Sides = list[tuple[Side | None, Side | None]]


class Sizes:
    """Draws the numbers of elements of one call."""

    def __init__(self, rng: Random, p: int, itemsize: int):
        self.rng = rng
        self.p = p
        self.large = rng.random() < 0.03
        self.itemsize = itemsize
        self.recvcounts: list[int] = []  # of a reduce_scatter

    def count(self) -> int:
        """The length of a block."""
        if self.large:
            return self.rng.randint(1, 2 * LARGE // self.itemsize)
        edges = [0, 1, 2, self.p - 1, self.p, self.p + 1, 3 * self.p]
        return self.rng.choice([*edges, self.rng.randint(0, 9), self.rng.randint(10, 100)])

    def counts(self) -> list[int]:
        """The lengths of p blocks."""
        style = self.rng.random()
        if style < 0.1:
            return [self.count()] * self.p
        if style < 0.2:  # all of it in one block
            owner = self.rng.randrange(self.p)
            return [self.count() if rank == owner else 0 for rank in range(self.p)]
        return [self.rng.choice([0, 1, self.count()]) for _ in range(self.p)]

    def matrix(self, symmetric: bool) -> list[list[int]]:
        """The lengths of the blocks from each rank to each other."""
        rows = [self.counts() for _ in range(self.p)]
        if symmetric:
            for i in range(self.p):
                for j in range(i):
                    rows[i][j] = rows[j][i]
        return rows

    def whole(self, count: int, blocks: int = 1) -> Side:
        """Blocks of equal length, perhaps not at the beginning of the memory."""
        start, more = self.rng.choice([(0, 0), (0, 0), (self.rng.randint(1, 3), 1)])
        return Side([count] * blocks, [start], start + count * blocks + more)

    def blocks(self, counts: list[int]) -> Side:
        """Blocks one after the other, or in any order and with gaps."""
        if self.rng.random() < 0.4:
            return Side(counts, None, sum(counts), True)
        order = list(range(len(counts)))
        self.rng.shuffle(order)
        displs, at = [0] * len(counts), self.rng.randint(0, 2)
        for block in order:
            displs[block] = at
            at += counts[block] + self.rng.randint(0, 3)
        return Side(counts, displs, at, True)


Shape = Callable[[Sizes, int, bool], Sides]


def barrier(sizes: Sizes, root: int, in_place: bool) -> Sides:
    return [(None, None)] * sizes.p


def bcast(sizes: Sizes, root: int, in_place: bool) -> Sides:
    n = sizes.count()
    return [(None, sizes.whole(n)) for _ in range(sizes.p)]


def scatter(sizes: Sizes, root: int, in_place: bool) -> Sides:
    n, p = sizes.count(), sizes.p
    return [(sizes.whole(n, p) if r == root else None, sizes.whole(n)) for r in range(p)]


def scatterv(sizes: Sizes, root: int, in_place: bool) -> Sides:
    counts = sizes.counts()
    whole = sizes.blocks(counts)
    return [(whole if r == root else None, sizes.whole(counts[r])) for r in range(sizes.p)]


def gather(sizes: Sizes, root: int, in_place: bool) -> Sides:
    return [(recv, send) for send, recv in scatter(sizes, root, in_place)]


def gatherv(sizes: Sizes, root: int, in_place: bool) -> Sides:
    return [(recv, send) for send, recv in scatterv(sizes, root, in_place)]


def allgather(sizes: Sizes, root: int, in_place: bool) -> Sides:
    n = sizes.count()
    return [(sizes.whole(n), sizes.whole(n, sizes.p)) for _ in range(sizes.p)]


def allgatherv(sizes: Sizes, root: int, in_place: bool) -> Sides:
    counts = sizes.counts()
    return [(sizes.whole(count), sizes.blocks(counts)) for count in counts]


def alltoall(sizes: Sizes, root: int, in_place: bool) -> Sides:
    n, p = sizes.count(), sizes.p
    return [(sizes.whole(n, p), sizes.whole(n, p)) for _ in range(p)]


def alltoallv(sizes: Sizes, root: int, in_place: bool) -> Sides:
    rows = sizes.matrix(in_place)
    return [
        (sizes.blocks(row), sizes.blocks(list(column))) for row, column in zip(rows, zip(*rows))
    ]


def reduce(sizes: Sizes, root: int, in_place: bool) -> Sides:
    n = sizes.count()
    return [(sizes.whole(n), sizes.whole(n) if rank == root else None) for rank in range(sizes.p)]


def elementwise(sizes: Sizes, root: int, in_place: bool) -> Sides:
    n = sizes.count()
    return [(sizes.whole(n), sizes.whole(n)) for _ in range(sizes.p)]


def reduce_scatter(sizes: Sizes, root: int, in_place: bool) -> Sides:
    counts = sizes.recvcounts = sizes.counts()
    n = sum(counts)
    return [(sizes.whole(n), sizes.whole(n if in_place else count)) for count in counts]


def reduce_scatter_block(sizes: Sizes, root: int, in_place: bool) -> Sides:
    count, p = sizes.count(), sizes.p
    sizes.recvcounts = [count] * p
    return [(sizes.whole(count, p), sizes.whole(count, p if in_place else 1)) for _ in range(p)]
