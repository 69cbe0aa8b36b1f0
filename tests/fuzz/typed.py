"""Alltoallw: each block with a datatype of its own, laid out as its rank likes."""

from random import Random
from typing import NamedTuple

from mpi4py import MPI
from shapes import Sizes

KINDS = [MPI.INT16_T, MPI.INT32_T, MPI.DOUBLE]
LAYOUTS = ["plain", "one", "spaced", "strided"]


class Typed(NamedTuple):
    """One side of an Alltoallw; displacements and length are in bytes."""

    counts: list[int]
    displs: list[int]
    length: int
    blocks: list[tuple[int, int, str]]

    def make(self) -> list[MPI.Datatype]:
        """The datatypes, new but for predefined ones."""
        return [_datatype(*block) for block in self.blocks]


def typed_sides(sizes: Sizes, root: int, in_place: bool) -> list[tuple[Typed, Typed]]:
    """The sides of all ranks: what one sends to another is as much as that one receives."""
    lengths = sizes.matrix(in_place)
    p, rng = sizes.p, sizes.rng
    kinds = [[rng.randrange(len(KINDS)) for _ in range(p)] for _ in range(p)]
    if in_place:
        kinds = [[kinds[min(i, j)][max(i, j)] for j in range(p)] for i in range(p)]
    return [
        (
            _side(rng, [(kinds[r][to], lengths[r][to]) for to in range(p)]),
            _side(rng, [(kinds[source][r], lengths[source][r]) for source in range(p)]),
        )
        for r in range(p)
    ]


def _side(rng: Random, contents: list[tuple[int, int]]) -> Typed:
    """Blocks in random layouts, in random order, with gaps."""
    blocks = [(kind, n, rng.choice(LAYOUTS) if n else "plain") for kind, n in contents]
    counts = [n if layout in ("plain", "spaced") else 1 for _, n, layout in blocks]
    order = list(range(len(blocks)))
    rng.shuffle(order)
    displs, at = [0] * len(blocks), 0
    for number in order:
        kind, n, layout = blocks[number]
        displs[number] = at
        wide = 2 if layout in ("spaced", "strided") else 1
        at += -(-n * wide * KINDS[kind].Get_size() // 8) * 8 + 8 * rng.randint(0, 2)
    return Typed(counts, displs, at, blocks)


def _datatype(kind: int, n: int, layout: str) -> MPI.Datatype:
    base = KINDS[kind]
    if layout == "plain":
        return base
    if layout == "one":
        return base.Create_contiguous(n).Commit()
    if layout == "spaced":
        return base.Create_resized(0, 2 * base.Get_size()).Commit()
    return base.Create_vector(n, 1, 2).Commit()
