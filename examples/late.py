"""A bug to look at: one rank never calls the collective that the rest wait in.

    mpirun -n 4 python examples/late.py

Without a time limit such a program hangs.
"""

import time

import numpy as np
from mpi4py import MPI

import collectives


def solve(comm: collectives.Comm) -> None:
    residual, largest = np.full(1, 10.0**comm.rank), np.empty(1)
    while residual[0] > 1e-6:  # on each rank, where all should look at the largest
        residual *= 0.1
        comm.Allreduce(residual, largest, op=MPI.MAX)


comm = collectives.Comm(MPI.COMM_WORLD, algorithm="ring", timeout=2)
comm.Barrier()
try:
    solve(comm)
    time.sleep(4)  # the first that is done writes its results
except collectives.Timeout as error:  # on all ranks that wait in a collective
    if comm.rank == 1:
        print(error)
    raise SystemExit(1) from None
