"""What is run: cells of primitive, algorithm and size, and their data.

A size is what one rank contributes, as in the OSU benchmarks: the vector in
bcast, reduce, allreduce, scan and exscan, one block in scatter, gather,
allgather, reduce_scatter and alltoall. So all blocks are even, and every size
gives every rank something to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from collectives.algorithms import REGISTRY
from collectives.catalogue import TEXTBOOK, algorithms_for, find, is_loaded
from collectives.checks import memory
from collectives.errors import UnknownAlgorithm
from collectives.operators.operator import SUM
from collectives.problems import BLOCKWISE, Problem
from collectives.study.compression import error_limit
from collectives.units import format_bytes

BUILTIN = "mpi"
EVERY = "all"
DTYPE = np.dtype(np.float64)


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes
    ----------
    primitive : str
    algorithm : str
        As in `collectives.find`, or `mpi` for the built-in.
    size : int
        Bytes that one rank contributes; 0 for a barrier.
    """

    primitive: str
    algorithm: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.readable_size}".rstrip()

    @property
    def name(self) -> str:
        """Primitive and algorithm."""
        return f"{self.primitive}.{self.algorithm}"

    @property
    def readable_size(self) -> str:
        """The size as people write it; empty where there is none."""
        return "" if self.primitive == "barrier" else format_bytes(self.size)

    @property
    def group(self) -> tuple[str, int]:
        """What cells must share to be compared: data, buffers and a column of a table."""
        return self.primitive, self.size

    def problem(self, p: int) -> Problem:
        """The data for p ranks."""
        elements = self.size // DTYPE.itemsize
        blocks = p if self.primitive in BLOCKWISE else 1
        return Problem(self.primitive, p, elements * blocks, dtype=DTYPE, operator=SUM)

    def limit(self, p: int) -> float | None:
        """How far off a lossy algorithm may be on p ranks; None for one that is exact."""
        if self.algorithm == BUILTIN:
            return None
        algorithm, parameters = find(self.primitive, self.algorithm)
        if not algorithm.lossy:
            return None
        return error_limit(algorithm, self.problem(p).inputs, parameters)


def cells(primitives: Iterable[str], algorithms: Sequence[str], sizes: Sequence[int]) -> list[Cell]:
    """All that is to be run, cells of one group side by side, the built-in first.

    Parameters
    ----------
    primitives : iterable of str
    algorithms : sequence of str
        Those that a primitive does not have are left out. `all` means all there
        are; none means the textbook's four and those that the user loaded.
    sizes : sequence of int
    """
    return [
        Cell(primitive, algorithm, size)
        for primitive in primitives
        for size in (sizes if primitive != "barrier" else [0])
        for algorithm in [BUILTIN, *_chosen(primitive, algorithms)]
    ]


def fits(some: Iterable[Cell], p: int, sharing: int) -> None:
    """Raise ArgumentError unless the data of all ranks that share a memory fit in it.

    Parameters
    ----------
    some : iterable of Cell
    p, sharing : int
        Number of ranks, and of those on one host.
    """
    largest = {cell.group: cell.problem(p) for cell in some}.values()
    # What is sent and received of every group; all inputs, while an answer is looked at.
    nbytes = [problem.n * problem.dtype.itemsize for problem in largest]
    total = 2 * sum(nbytes) + p * max(nbytes, default=0)
    memory("--sizes", f"the buffers of {sharing} ranks", sharing * total)


def has(primitive: str, spec: str) -> bool:
    """Whether the primitive has this algorithm."""
    try:
        find(primitive, spec)
    except UnknownAlgorithm:
        return False
    return True


def _chosen(primitive: str, algorithms: Sequence[str]) -> list[str]:
    names = algorithms_for(primitive)
    usual = [n for n in names if n in TEXTBOOK or is_loaded(REGISTRY[primitive][n])]
    wanted = names if EVERY in algorithms else algorithms or usual
    return [spec for spec in wanted if spec != BUILTIN and has(primitive, spec)]


def groups(some: Sequence[Cell]) -> list[list[int]]:
    """The indices of the cells, those of one group together."""
    found: dict[tuple[str, int], list[int]] = {}
    for index, cell in enumerate(some):
        found.setdefault(cell.group, []).append(index)
    return list(found.values())
