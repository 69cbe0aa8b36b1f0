"""One answer to a command line that all ranks have read. Imports no numpy: see `__main__`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

from mpi4py import MPI


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
