"""Take the times."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from mpi4py import MPI

from .schedule import Schedule
from .stop import Stop

Call = Callable[[], object]


def measure(
    comm: MPI.Intracomm,
    calls: Mapping[int, Call],
    schedule: Schedule,
    tick: Callable[[int], None] = lambda cell: None,
    stop: Stop | None = None,
) -> None:
    """Run passes until the schedule has enough.

    Rank 0 decides what a pass holds and keeps the times. The time of a
    repetition is that of the slowest rank: from when it entered the call to
    when it left it, all having met at a barrier before.

    Parameters
    ----------
    comm : MPI.Intracomm
    calls : mapping
        From a cell's index to what is timed.
    schedule : Schedule
        On every rank; only that of rank 0 is asked.
    tick : callable
        Called before each call with its cell's index, untimed.
    stop : Stop, optional
        Rank 0 is told of a signal that another rank alone has got.
    """
    gc.collect()
    gc.disable()
    try:
        while order := comm.bcast(schedule.next_pass() if comm.rank == 0 else None):
            local, costs = _pass(comm, calls, order, tick)
            local = np.append(local, stop.by if stop else 0)
            slowest = np.empty_like(local)
            comm.Allreduce(local, slowest, MPI.MAX)
            if comm.rank == 0:
                schedule.record(order, slowest[:-1], costs)
                if stop:
                    stop.ask(int(slowest[-1]))
    finally:
        gc.enable()


def _pass(
    comm: MPI.Intracomm,
    calls: Mapping[int, Call],
    order: Sequence[int],
    tick: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds that each call took on this rank, and seconds that it took in all."""
    clock, barrier = time.perf_counter, comm.Barrier
    times, costs = np.empty(len(order)), np.empty(len(order))
    for i, cell in enumerate(order):
        call = calls[cell]
        begin = clock()
        tick(cell)
        barrier()
        start = clock()
        call()
        end = clock()
        times[i] = end - start
        costs[i] = end - begin
    return times, costs
