"""The eager limit: up to how many bytes a message leaves although nobody waits for it yet."""

from __future__ import annotations

import time

import numpy as np
from mpi4py import MPI

SIZES = tuple(8 << shift for shift in range(20))  # 8 B to 4 MiB
LATE = 0.02  # seconds that the receiver is late
TRIES = 2


def eager_limit(comm: MPI.Intracomm, source: int, dest: int) -> int:
    """The longest message that `source` could send while `dest` was late; collective.

    The send of an eager message returns at once. The largest of `SIZES` is returned where
    all of them do; 0 where none does.
    """
    longest = 0
    for size in SIZES:
        took = min(_sending(comm, source, dest, size) for _ in range(TRIES))
        if comm.bcast(took, source) > LATE / 2:
            break
        longest = size
    return longest


def _sending(comm: MPI.Intracomm, source: int, dest: int, size: int) -> float:
    """Seconds until the send returns; 0 on other ranks."""
    data = np.zeros(size, np.uint8)
    comm.Barrier()
    begin = time.perf_counter()
    if comm.rank == source:
        comm.Send(data, dest)
        return time.perf_counter() - begin
    if comm.rank == dest:
        time.sleep(LATE)
        comm.Recv(data, source)
    return 0.0
