"""The table that a user of such a network would make: from its parameters, for `auto`.

The same as ``python -m collectives table -p RANKS --topology FILE --write TABLE`` does, for
vectors up to the longest that is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mpi4py import MPI

from collectives.choice import ENVIRONMENT
from collectives.machine import spec
from collectives.study.tables import table_text


def made(comm: MPI.Intracomm, parameters: str, primitives: Sequence[str], longest: int) -> str:
    """The table for these ranks, as text; collective: all but one sleep meanwhile."""
    text = ""
    if comm.rank == 0:
        here = spec.from_keys(spec.tomllib.loads(parameters))
        text = table_text(here, [comm.size], primitives, largest=longest)
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(0.01)
    return comm.bcast(text)


def in_memory(comm: MPI.Intracomm, text: str) -> str:
    """The path, the same on all ranks, of a file that is gone with rank 0; collective.

    Hosts of a box see each other's processes.
    """
    path = ""
    if comm.rank == 0:
        number = os.memfd_create("table")
        os.write(number, text.encode())
        path = f"/proc/{os.getpid()}/fd/{number}"
    return comm.bcast(path)


@contextmanager
def in_force(path: str) -> Iterator[None]:
    """`auto` takes this table for what is called the first time meanwhile."""
    before = os.environ.get(ENVIRONMENT)
    os.environ[ENVIRONMENT] = path
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENVIRONMENT]
        else:
            os.environ[ENVIRONMENT] = before
