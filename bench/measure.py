"""Take the times."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from mpi4py import MPI

from .schedule import Schedule
from .stop import Stop
from .system import one_clock

Call = Callable[[], object]

ENOUGH = 20  # repetitions for a minimum
WARM_UP = 1  # more


def measure(
    comm: MPI.Intracomm,
    calls: Mapping[int, Call],
    schedule: Schedule,
    tick: Callable[[int], None] = lambda cell: None,
    stop: Stop | None = None,
) -> None:
    """Run passes until the schedule has enough.

    Rank 0 decides what a pass holds and keeps the times. A repetition begins
    at a barrier; `elapsed` says how long it takes.

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
    together = one_clock(comm)
    gc.collect()
    gc.disable()
    try:
        while order := comm.bcast(schedule.next_pass() if comm.rank == 0 else None):
            times, costs = _pass(comm, calls, order, tick)
            *taken, signal = elapsed(comm, times, together, stop.by if stop else 0)
            if comm.rank == 0:
                schedule.record(order, np.array(taken), costs)
                if stop:
                    stop.ask(int(signal))
    finally:
        gc.enable()


def _pass(
    comm: MPI.Intracomm,
    calls: Mapping[int, Call],
    order: Sequence[int],
    tick: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """When each call began and ended on this rank, shape (2, calls), and what each took in all."""
    clock, barrier = time.perf_counter, comm.Barrier
    times, costs = np.empty((2, len(order))), np.empty(len(order))
    for i, cell in enumerate(order):
        call = calls[cell]
        begin = clock()
        tick(cell)
        barrier()
        start = clock()
        call()
        end = clock()
        times[:, i] = start, end
        costs[i] = end - begin
    return times, costs


def elapsed(comm: MPI.Intracomm, times: np.ndarray, one_clock: bool, more: int = 0) -> np.ndarray:
    """Seconds of each call on all ranks together, from this rank's beginnings and ends.

    Where all ranks read one clock, from the first beginning to the last end: a rank that
    leaves the barrier late cannot hide what has been done before. Elsewhere, the time of
    the slowest rank.

    Parameters
    ----------
    comm : MPI.Intracomm
    times : numpy.ndarray
        Beginnings and ends, shape (2, calls).
    one_clock : bool
    more : int
        A number of which the largest of all ranks is added to the result, at its end.
    """
    begin, end = times
    local = np.concatenate([-begin, end] if one_clock else [np.zeros_like(begin), end - begin])
    local = np.append(local, more)
    most = np.empty_like(local)
    comm.Allreduce(local, most, MPI.MAX)
    calls = begin.size
    return np.append(most[:calls] + most[calls:-1], most[-1])


def minima(
    comm: MPI.Intracomm,
    calls: Sequence[Call],
    seconds: float,
    least: int = ENOUGH,
    pause: float = 0.0,
) -> list[float]:
    """The least time of each call, in seconds, the same on all ranks; the calls take turns.

    Each is timed alone, after a barrier: calls in a row would overlap, and in an
    algorithm in which all data go one way a call would seem to take no longer than a rank is busy.

    Parameters
    ----------
    comm : MPI.Intracomm
    calls : sequence of callable
    seconds : float
        To go on for.
    least : int
        Repetitions that there are in any case.
    pause : float
        Seconds that all ranks sleep before the barrier.
    """

    def more(reps: int, spent: float) -> bool:
        return reps < WARM_UP + least or spent < seconds

    return minima_while(comm, calls, more, pause)


def minima_while(
    comm: MPI.Intracomm,
    calls: Sequence[Call],
    more: Callable[[int, float], bool],
    pause: float = 0.0,
) -> list[float]:
    """The same, for as long as rank 0 is told `more(repetitions, seconds spent)`."""

    def rest(_: int) -> None:
        if pause:
            time.sleep(pause)

    together = one_clock(comm)
    ours = dict(enumerate(calls))
    best = np.full(len(calls), np.inf)
    begin, reps = time.perf_counter(), 0
    while comm.bcast(comm.rank == 0 and more(reps, time.perf_counter() - begin)):
        # Every call is the first one in turn: what comes before a call has a share in its time.
        order = np.roll(np.arange(len(calls)), -reps)
        taken, _ = _pass(comm, ours, order.tolist(), rest)
        best[order] = np.minimum(best[order], elapsed(comm, taken, together)[:-1])
        reps += 1
    return best.tolist()
