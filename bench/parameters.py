"""Measure alpha, beta and gamma of this machine, for the cost model.

::

    mpirun -n 4 python -m collectives.bench.parameters [SECONDS]

alpha and beta come from the library's own rounds: in the ring allgather every rank
sends a block to the right and receives one from the left, p-1 times, which takes
(p-1) (alpha + m beta) for blocks of m bytes. The line is fitted to the relative
error, so that short blocks count as much as long ones. gamma is the slope of
numpy's addition of float64. All are minima over the repetitions of the slowest
rank's time: what is left when nothing disturbs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np
from mpi4py import MPI
from rich.text import Text

import collectives
from collectives.console import table
from collectives.machine.clock import Clock
from collectives.units import format_bytes

from .program import Parser, Usage, add_seconds, options, start
from .report import console, header, microseconds
from .statistics import fitted
from .stop import Stop
from .system import system

SIZES = tuple(8 << shift for shift in range(0, 20, 2))  # 8 B to 2 MiB
SECONDS = 4.0
ENOUGH = 20  # repetitions
BATCH_SECONDS = 1e-3  # so long are calls timed together


def minima(
    comm: MPI.Intracomm, calls: Sequence[Callable[[], object]], seconds: float
) -> list[float]:
    """The least time of each call, in seconds, of the slowest rank; the calls take turns."""
    batches = [_batch(comm, call) for call in calls]
    best = np.full(len(calls), np.inf)
    begin, reps = perf_counter(), 0
    while comm.bcast(reps < ENOUGH or perf_counter() - begin < seconds):
        local = np.array([_time(comm, call, batch) for call, batch in zip(calls, batches)])
        slowest = np.empty_like(local)
        comm.Allreduce(local, slowest, MPI.MAX)
        best = np.minimum(best, slowest)
        reps += 1
    return best.tolist()


def _batch(comm: MPI.Intracomm, call: Callable[[], object]) -> int:
    """How many calls are timed together; the first two make and set up the plan."""
    call()
    call()
    once = comm.bcast(_time(comm, call, 1))
    return max(1, min(100, int(BATCH_SECONDS / once)))


def _time(comm: MPI.Intracomm, call: Callable[[], object], batch: int) -> float:
    comm.Barrier()
    start = perf_counter()
    for _ in range(batch):
        call()
    return (perf_counter() - start) / batch


def ring(comm: MPI.Intracomm, nbytes: int) -> Callable[[], object]:
    """A ring allgather of blocks of `nbytes`."""
    block = np.arange(nbytes // 8, dtype=np.float64) + comm.rank
    blocks = np.empty(comm.size * block.size)
    return lambda: collectives.allgather(comm, block, blocks, algorithm="ring")


def addition(nbytes: int) -> Callable[[], object]:
    """A reduction of `nbytes`, as the library does it."""
    mine = np.arange(nbytes // 8, dtype=np.float64)
    total = np.ones_like(mine)
    return lambda: np.add(mine, total, out=total)


def main(comm: MPI.Intracomm, seconds: float) -> None:
    """Measure; rank 0 prints."""
    calls = [ring(comm, size) for size in SIZES] + [addition(size) for size in SIZES]
    times = np.array(minima(comm, calls, seconds))
    rounds, sums = times[: len(SIZES)] / (comm.size - 1), times[len(SIZES) :]
    alpha, beta = fitted(SIZES, rounds)
    overhead, gamma = fitted(SIZES, sums)
    clock = Clock(alpha, beta, gamma)
    where = system(comm)
    if comm.rank > 0:
        return
    new = table("", "block", "round", "fitted", "addition", "fitted", numbers=True)
    for size, round_, sum_ in zip(SIZES, rounds, sums):
        line = alpha + beta * size, overhead + gamma * size
        cells = round_, line[0], sum_, line[1]
        new.add_row(format_bytes(size), *[microseconds(1e6 * cell) for cell in cells])
    out = console()
    out.print(Text(f"{header(where)}\n\nmicroseconds"), soft_wrap=True)
    out.print(new)
    out.print(f"\n--alpha {clock.alpha:.2g} --beta {clock.beta:.2g} --gamma {clock.gamma:.2g}")


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, and do what they say."""
    parser = Parser("collectives.bench.parameters")
    add_seconds(parser, SECONDS, "for all of it")
    given = options(comm, parser, arguments, lambda given: of_two_ranks(comm.size, given))
    main(comm, given.seconds)
    return 0


def of_two_ranks(ranks: int, given: argparse.Namespace) -> argparse.Namespace:
    """The options, if there can be a round."""
    if ranks == 1:
        raise Usage("a round needs two ranks, got 1; use mpirun -n 2")
    return given


if __name__ == "__main__":
    start(program)
