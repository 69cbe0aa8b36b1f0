"""Whether an answer is right, outside of what is timed.

Every result is held against the answer that numpy computes, the built-in's too:
so if the two differ, it is clear which of them is wrong. The inputs make sums
of floats exact in any order, and the outputs are full of a sentinel before the
call. The answer of a lossy algorithm must be within its limit and the same on all ranks.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from collectives.problems import Buffers, Problem, sentinel

if TYPE_CHECKING:
    from mpi4py import MPI

LATE = 0.02  # seconds by which a rank is late at a barrier
LATECOMERS = 8


@dataclass(frozen=True)
class Wrong:
    """What is wrong with an answer.

    Attributes
    ----------
    message : str
    rank, index : int or None
        Where the first wrong element is.
    """

    message: str
    rank: int | None = None
    index: int | None = None

    def __str__(self) -> str:
        rank = [] if self.rank is None else [f"rank {self.rank}"]
        index = [] if self.index is None else [f"index {self.index}"]
        place = ", ".join(rank + index)
        return f"{place}: {self.message}" if place else self.message


def first_wrong(
    problem: Problem, rank: int, buffers: Buffers, limit: float | None = None
) -> Wrong | None:
    """The first element on this rank that is not what it must be, or not within the limit."""
    wanted, got = problem.expected(rank), buffers.recv
    if wanted is None or got is None or np.array_equal(got, wanted):
        return None
    right = got == wanted if limit is None else np.abs(got - wanted) <= limit
    if right.all():
        return None
    index = int(np.flatnonzero(~right)[0])
    needed = f"{wanted[index]}" if limit is None else f"within {limit:.3g} of {wanted[index]}"
    return Wrong(f"must be {needed}, got {got[index]}", rank, index)


def differs(comm: MPI.Intracomm, buffers: Buffers) -> Wrong | None:
    """Whether the output of this rank has other bits than that of rank 0."""
    assert buffers.recv is not None
    bits = zlib.crc32(buffers.recv.tobytes())
    return Wrong("must have the bits of rank 0", comm.rank) if bits != comm.bcast(bits) else None


def relative_error(problem: Problem, rank: int, buffers: Buffers) -> float:
    """The root mean square of all errors, by that of the right answer."""
    wanted, got = problem.expected(rank), buffers.recv
    assert wanted is not None and got is not None
    size = np.linalg.norm(wanted)
    return float(np.linalg.norm(got - wanted) / size) if size else 0.0


def refill(problem: Problem, rank: int, buffers: Buffers) -> None:
    """Put the sentinel back, and the input where it shares the output's buffer."""
    if buffers.recv is None:
        return
    if problem.primitive == "bcast" and rank == problem.root:
        buffers.recv[...] = problem.input(rank)
    else:
        buffers.recv[...] = sentinel(buffers.recv.size, problem.dtype)


def leaks(comm: MPI.Intracomm, barrier: Callable[[], object]) -> Wrong | None:
    """Whether this rank leaves a barrier before a late one has entered it.

    Compares clocks, which ranks on different hosts do not share; there, a
    barrier goes unchecked.
    """
    found = None
    for late in range(min(comm.size, LATECOMERS)):
        comm.Barrier()
        if comm.rank == late:
            time.sleep(LATE)
        entered = time.monotonic()
        barrier()
        left = time.monotonic()
        if left < max(comm.allgather(entered)):
            found = found or Wrong(f"left before rank {late} had entered", comm.rank)
    return found


def merge(comm: MPI.Intracomm, mine: Mapping[int, Wrong]) -> dict[int, Wrong]:
    """By cell, what the lowest rank that found something wrong has found."""
    merged: dict[int, Wrong] = {}
    for found in comm.allgather(dict(mine)):
        merged = {**found, **merged}
    return merged


def one_host(hosts: Sequence[str]) -> bool:
    return len(set(hosts)) == 1
