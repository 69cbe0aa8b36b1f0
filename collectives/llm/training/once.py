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


def on_rank_0(world: Any, work: Callable[[], Any]) -> Any:
    """What rank 0 gets from a function, on all ranks; collective.

    Raises
    ------
    ArgumentError
        On all ranks, if the function raises it.
    """
    found, problem = None, None
    if world.rank == 0:
        try:
            found = work()
        except ArgumentError as error:
            problem = str(error)
    found, problem = world.bcast((found, problem))
    if problem is not None:
        raise ArgumentError(problem)
    return found
