"""What messages cost within nodes and between them, from the library's own rounds.

Calls are timed in rows, so that what a barrier leaves behind counts little: the ranks of a
ring wait for each other anyway, and a rank that only sends, or only receives, is what limits
a row of naive scatters or gathers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

import collectives

from .eager import eager_limit
from .measure import minima

SIZES = tuple(8 << shift for shift in range(0, 18, 2))  # 8 B to 512 KiB
SHORT = 1024  # bytes of a block for which the rate does not matter
LEAST = 4  # rows, which take long over a slow network
LONG = 2**18  # bytes of a message, and half as many, longer than what a link may pass at once
SEEN = 0.05  # the part of it from which on that is no noise
FASTEST = 100.0  # times its rate at which that passes, at most: more cannot be measured
ROW, MOST = 2e-3, 100  # seconds of calls in a row, and how many at most

Call = Callable[[], object]


@dataclass(frozen=True)
class Way:
    """What messages cost between ranks that are equally far from each other.

    Attributes
    ----------
    alpha, beta : float
        Seconds for a message, and for each of its bytes: the `line` through `rounds`.
    overhead : float
        Seconds that a message keeps a rank busy which sends, or takes, many.
    eager : int
        Bytes of the longest message that does not wait for its receiver.
    rounds : sequence of float
        Seconds of a message of each of `SIZES`.
    """

    alpha: float
    beta: float
    overhead: float
    eager: int
    rounds: Sequence[float]

    def time(self, nbytes: int) -> float:
        """Seconds of a message by that line."""
        return self.alpha + self.beta * nbytes


@dataclass(frozen=True)
class Bucket:
    """What a link passes at once after a pause, as token buckets do.

    Attributes
    ----------
    burst : int
        Bytes; 0 if the link is none.
    rate : float
        Bytes a second at which they pass.
    """

    burst: int
    rate: float


class Layout:
    """Which ranks share a node, by MPI.

    Attributes
    ----------
    near, far : MPI.Intracomm
        The ranks of this rank's node, and those with the same number within theirs.
    pair : MPI.Intracomm
        The first two ranks of this rank's node; on the others, the rest.
    nodes, ranks : int
        How many nodes there are, and ranks on the fullest.
    full : bool
        Whether this rank's node is as full.
    even : bool
        Whether all are.
    """

    def __init__(self, comm: MPI.Intracomm):
        self.near = MPI.Intracomm(comm.Split_type(MPI.COMM_TYPE_SHARED))
        self.far = MPI.Intracomm(comm.Split(self.near.rank, comm.rank))
        self.pair = MPI.Intracomm(self.near.Split(int(self.near.rank > 1), self.near.rank))
        sizes = comm.allgather(self.near.size)
        self.ranks = max(sizes)
        self.nodes = comm.allreduce(int(self.near.rank == 0))
        self.full = self.near.size == self.ranks
        self.even = set(sizes) == {self.ranks}

    def free(self) -> None:
        """Free the communicators."""
        for comm in (self.near, self.far, self.pair):
            comm.Free()


def nothing() -> None:
    """What a rank does that takes no part."""


def ring(comm: MPI.Intracomm, nbytes: int) -> Call:
    """A ring allgather of blocks of `nbytes`, in place: nothing is copied but by messages."""
    blocks = np.full(comm.size * (nbytes // 8), comm.rank + 1.0)
    return lambda: collectives.allgather(comm, MPI.IN_PLACE, blocks, algorithm="ring")


def one_way(comm: MPI.Intracomm, nbytes: int) -> Call:
    """A message of `nbytes` from rank 0 to rank 1, in a group of two."""
    block = np.arange(nbytes // 8, dtype=np.float64)
    return lambda: collectives.bcast(comm, block, algorithm="tree")


def turns(comm: MPI.Intracomm) -> list[Call]:
    """Rank 0 sends a number to every other rank in one round; and receives one from each."""
    one, all_ = np.array([comm.rank + 1.0]), np.arange(float(comm.size))
    return [
        lambda: collectives.scatter(comm, all_, one, algorithm="naive", root=0),
        lambda: collectives.gather(comm, one, all_, algorithm="naive", root=0),
    ]


def row_times(comm: MPI.Intracomm, calls: Sequence[Call], seconds: float) -> np.ndarray:
    """Least seconds of each call, in rows of as many as take about `ROW` seconds; collective."""
    once = np.array(minima(comm, calls, 0.0, 1))
    lengths = np.clip(ROW / once, 1, MOST).astype(int)
    rows = [_row(call, length) for call, length in zip(calls, lengths)]
    return np.array(minima(comm, rows, seconds, LEAST)) / lengths


def _row(call: Call, length: int) -> Call:
    def row() -> None:
        for _ in range(length):
            call()

    return row


def round_times(
    comm: MPI.Intracomm,
    group: MPI.Intracomm,
    takes_part: bool,
    seconds: float,
    rounds: Callable[[MPI.Intracomm, int], Call] = ring,
) -> list[float]:
    """Seconds of a round in each group that takes part, for each of `SIZES`; collective.

    A call of `rounds` has one for each rank of its group but one.
    """
    calls = [rounds(group, size) if takes_part else nothing for size in SIZES]
    longest = comm.allreduce(group.size if takes_part else 0, MPI.MAX)
    return (row_times(comm, calls, seconds) / (longest - 1)).tolist()


def line(rounds: Sequence[float]) -> tuple[float, float]:
    """alpha and beta of round times: beta from the two longest blocks, alpha from short ones.

    In between, a machine may well be quicker: a link lets a short block pass at once, and a
    cache holds it.
    """
    slope = (rounds[-1] - rounds[-2]) / (SIZES[-1] - SIZES[-2])
    beta = slope if slope > 0 else rounds[-1] / SIZES[-1]  # noise can tilt it
    short = [one - beta * size for size, one in zip(SIZES, rounds) if size <= SHORT]
    return max(0.0, float(np.median(short))), beta


def way(comm: MPI.Intracomm, group: MPI.Intracomm, takes_part: bool, seconds: float) -> Way:
    """What messages cost within the groups that take part, of two ranks or more each; collective.

    Parameters
    ----------
    comm : MPI.Intracomm
        All ranks.
    group : MPI.Intracomm
        Those that send each other messages.
    takes_part : bool
        Whether this rank's group does so.
    seconds : float
        To measure for.
    """
    rounds = round_times(comm, group, takes_part, seconds)
    alpha, beta = line(rounds)
    calls = turns(group) if takes_part else [nothing, nothing]
    others = comm.allreduce(group.size - 1 if takes_part else 0, MPI.MAX)
    busy = float(row_times(comm, calls, seconds / 4).mean()) / others
    eager = eager_limit(comm, *_pair(comm, group, takes_part))
    return Way(alpha, beta, min(busy, alpha / 2), eager, rounds)


def _pair(comm: MPI.Intracomm, group: MPI.Intracomm, takes_part: bool) -> tuple[int, int]:
    """The first two ranks of the first group that takes part, by their numbers among all."""
    mine = group.allgather(comm.rank)[:2]
    return next(pair for pair in comm.allgather(tuple(mine) if takes_part else ()) if pair)


def bucket(comm: MPI.Intracomm, layout: Layout, rate: float, seconds: float) -> Bucket:
    """What passes at once between two nodes whose link has this rate in the long run; collective.

    After a pause a message of m bytes takes alpha + (m - burst) beta, if it is longer than that.
    """
    takes_part = layout.near.rank == 0 and layout.far.rank < 2
    pair = MPI.Intracomm(layout.far.Split(int(layout.far.rank > 1), layout.far.rank))

    def after_a_pause(sizes: Sequence[int]) -> list[float]:
        calls = [one_way(pair, size) if takes_part else nothing for size in sizes]
        return minima(comm, calls, seconds / 2, LEAST, pause=LONG / rate)

    short, half, whole = after_a_pause([8, LONG // 2, LONG])
    beta = (whole - half) / (LONG - LONG // 2)
    burst = LONG - (whole - short) / beta if beta > 0 else 0.0
    found = Bucket(0, rate)
    if burst > SEEN * LONG:
        inside = int(burst / 2) & -8
        short, full = after_a_pause([8, inside])
        quick = inside / max(full - short, 1e-9)
        found = Bucket(int(burst), min(max(quick, rate), FASTEST * rate))
    pair.Free()
    return found
