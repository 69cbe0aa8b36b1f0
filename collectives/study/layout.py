"""Where every rank's contributions lie at first, and where they should lie in the end.

All ranks' buffers are pieces of one vector, so that what two ranks hold can be compared.
In alltoall every rank has a vector of its own, cut in the same way: where the lengths of the
blocks for one destination differ, there is room for the longest.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from collectives.algorithms.language.blocks import even_counts
from collectives.problems import BLOCKWISE, Problem


class Laid(NamedTuple):
    """`size` elements of the vector from `start` on, with the inputs of first .. stop - 1."""

    size: int
    start: int
    first: int
    stop: int


class Layout:
    """The vector of a problem.

    Attributes
    ----------
    bounds : list of int
        Elements at which its p blocks begin, and at which the last one ends.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        if problem.primitive == "alltoall":
            counts = problem.matrix.max(axis=0).tolist()
        elif problem.primitive in BLOCKWISE:
            counts = list(problem.lengths)
        else:
            counts = list(even_counts(problem.size, problem.p))
        self.bounds = list(accumulate(counts, initial=0))

    def input(self, rank: int) -> list[Laid]:
        """What lies in the input of `rank`, in order."""
        problem, mine = self.problem, (rank, rank + 1)
        match problem.primitive:
            case "alltoall":
                counts = problem.matrix[rank].tolist()
                return [Laid(counts[d], self.bounds[d], *mine) for d in range(problem.p)]
            case "gather" | "allgather":
                return [Laid(problem.lengths[rank], self.bounds[rank], *mine)]
        return [Laid(problem.size, 0, *mine)]

    def output(self, rank: int) -> list[Laid]:
        """What should lie in the output of `rank`, in order; nothing if that is undefined."""
        problem, p, root = self.problem, self.problem.p, self.problem.root
        match problem.primitive:
            case "alltoall":
                counts, start = problem.matrix[:, rank].tolist(), self.bounds[rank]
                return [Laid(counts[s], start, s, s + 1) for s in range(p)]
            case "gather" | "allgather":
                return [Laid(problem.lengths[s], self.bounds[s], s, s + 1) for s in range(p)]
            case "scatter":
                return [Laid(problem.lengths[rank], self.bounds[rank], root, root + 1)]
            case "reduce_scatter":
                return [Laid(problem.lengths[rank], self.bounds[rank], 0, p)]
            case "bcast":
                return [Laid(problem.size, 0, root, root + 1)]
            case "scan":
                return [Laid(problem.size, 0, 0, rank + 1)]
            case "exscan":
                return [Laid(problem.size, 0, 0, rank)] if rank else []
        return [Laid(problem.size, 0, 0, p)]
