"""One rank answers, or looks, for all. Imports no numpy: see `__main__`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from mpi4py import MPI

from collectives.errors import ArgumentError


@contextmanager
def once() -> Iterator[None]:
    """Let rank 0 alone say what is wrong with the command line, and all ranks end; collective."""
    out, err, status = StringIO(), StringIO(), None
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    except SystemExit as end:
        status = end.code
    world = MPI.COMM_WORLD
    said = world.allgather((status, out.getvalue(), err.getvalue()))
    ends = [each for each in said if each[0] is not None]
    if not ends:
        return
    status, text, complaint = ends[0]
    if world.rank == 0:
        sys.stdout.write(text)
        sys.stderr.write(complaint)
        sys.stdout.flush()
    world.Barrier()  # a rank that ends may end the job
    raise SystemExit(status)


def on_every_rank(world: Any, work: Callable[[], Any]) -> Any:
    """What this rank gets from a function that every rank calls; collective.

    Raises
    ------
    ArgumentError
        On all ranks alike, if the function raises it on one.
    """
    found, problem = None, None
    try:
        found = work()
    except ArgumentError as error:
        problem = str(error)
    for each in world.allgather(problem):
        if each is not None:
            raise ArgumentError(each)
    return found


def on_rank_0(world: Any, work: Callable[[], Any]) -> Any:
    """What rank 0 gets from a function, on all ranks; collective.

    Raises
    ------
    ArgumentError
        On all ranks, if the function raises it.
    """
    return world.bcast(on_every_rank(world, work if world.rank == 0 else lambda: None))
