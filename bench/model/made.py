"""The table that a user of such a network would make: from its parameters, for `auto`.

The same as ``python -m collectives table -p RANKS --topology FILE --write TABLE`` does, for
vectors up to the longest that is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mpi4py import MPI

from collectives import machine
from collectives.choice import ENVIRONMENT
from collectives.study.tables import table_text


def make(
    comm: MPI.Intracomm, parameters: str, path: Path, primitives: Sequence[str], longest: int
) -> None:
    """Write the table for these ranks to a file; collective: all others sleep meanwhile."""
    if comm.rank == 0:
        here = machine.spec.from_keys(machine.spec.tomllib.loads(parameters))
        text = table_text(here, [comm.size], primitives, largest=longest)
        path.write_text(text, encoding="utf-8")
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(0.01)


@contextmanager
def in_force(path: Path) -> Iterator[None]:
    """`auto` takes this table for what is called the first time meanwhile."""
    before = os.environ.get(ENVIRONMENT)
    os.environ[ENVIRONMENT] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENVIRONMENT]
        else:
            os.environ[ENVIRONMENT] = before
