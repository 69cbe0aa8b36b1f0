"""Many calls of one function, by several processes if they take long.

Short ones are done here, before another process would have begun. Results come with the number of
their call, in any order; who sorts them has the same as without processes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from time import monotonic
from typing import Any

from collectives.catalogue import load
from collectives.errors import ArgumentError

# Seconds of work before other processes are started, each of which first imports the library.
PATIENCE = 1.0
# More processes have more memory than time to gain.
MOST = 32


def cores() -> int:
    """How many processes can work at the same time."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def calls(
    function: Callable[..., Any],
    jobs: Sequence[tuple],
    work: Callable[..., float],
    processes: int = 0,
    files: Sequence[str] = (),
) -> Iterator[tuple[int, Any]]:
    """Call a function with each of many arguments; yields the number of the call and its result.

    Parameters
    ----------
    function : callable
        Of a module, so that another process finds it.
    jobs : sequence of tuple
        The arguments of each call.
    work : callable
        `work(*job)` is about how much there is to do; the least is done first.
    processes : int
        At most so many; as many as there are cores by default.
    files : sequence of str
        Paths of algorithms that the processes have to load.

    Raises
    ------
    ArgumentError
        A process was ended from outside.
    """
    processes = min(processes or cores(), MOST)
    order = sorted(range(len(jobs)), key=lambda number: work(*jobs[number]))
    began = monotonic()
    while order:
        if processes > 1 and len(order) > 1 and monotonic() - began > PATIENCE:
            yield from _by_processes(function, jobs, order[::-1], processes, files)
            return
        number = order.pop(0)
        yield number, function(*jobs[number])


def _by_processes(
    function: Callable[..., Any],
    jobs: Sequence[tuple],
    order: Sequence[int],
    processes: int,
    files: Sequence[str],
) -> Iterator[tuple[int, Any]]:
    """The longest first, so that no process is left with one in the end."""
    before = set(active_children())
    pool = ProcessPoolExecutor(min(processes, len(order)), get_context("spawn"), _load, (files,))
    whole = False
    try:
        numbers = _submitted(pool, function, jobs, order)
        for done in as_completed(numbers):
            yield numbers[done], done.result()
        whole = True
    except BrokenProcessPool:
        raise ArgumentError(
            "a process that did a part of the work must not end before it has done it, got one "
            "that was ended from outside, perhaps for want of memory; take --jobs 1"
        ) from None
    finally:
        pool.shutdown(wait=whole, cancel_futures=True)
        for process in set(active_children()) - before:
            process.terminate()
            process.join()


def _submitted(
    pool: ProcessPoolExecutor, function: Callable[..., Any], jobs: Sequence[tuple], order: Any
) -> dict[Future, int]:
    """Begin; Ctrl-C is for this process alone, which then ends the others."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return {pool.submit(function, *jobs[number]): number for number in order}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _load(files: Sequence[str]) -> None:
    for path in files:
        load(path)
