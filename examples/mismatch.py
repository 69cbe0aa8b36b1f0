"""A bug to look at: one rank calls another collective than the rest.

    mpirun -n 4 python examples/mismatch.py

Without checked mode such a program hangs, or goes on with wrong numbers.
"""

import numpy as np
from mpi4py import MPI

import collectives

comm = collectives.Comm(MPI.COMM_WORLD, check=True)
gradient = np.full(1000, comm.rank, np.float32)
total = np.empty_like(gradient)
comm.Allreduce(gradient, total)
try:
    if comm.rank == 2:
        comm.Bcast(total)
    else:
        comm.Allreduce(gradient, total)
except collectives.CallMismatch as error:  # on all ranks
    if comm.rank == 0:
        print(error)
