"""Calls that are wrong, and what each says. Nothing has been sent when it does.

::

    mpirun -n 4 python examples/wrong.py
"""

import numpy as np
from mpi4py import MPI

import collectives

comm = MPI.COMM_WORLD
vector, total, numbers = np.ones(1000), np.empty(1000), np.arange(1000)
minus = MPI.Op.Create(lambda inbuf, inoutbuf, datatype: None, commute=False)


def attempt(call, *arguments, **options):
    """Make a wrong call; rank 0 prints the error."""
    try:
        call(comm, *arguments, **options)
    except collectives.CollectiveError as error:
        if comm.rank == 0:
            print(f"{type(error).__name__}: {error}")


attempt(collectives.allreduce, vector, total, algorithm="rign")
attempt(collectives.allreduce, vector, vector)
attempt(collectives.allreduce, vector, total, op=minus, algorithm="ring")
attempt(collectives.allreduce, vector, total, op=MPI.MAX, algorithm="compressed_ring")
attempt(collectives.allreduce, numbers, numbers.copy(), op=collectives.REPRODUCIBLE_SUM)
attempt(collectives.bcast, vector, root=4)
attempt(collectives.bcast, vector, algorithm="ring:segments=0")
if comm.rank == 2:
    attempt(collectives.bcast, vector)
else:
    attempt(collectives.allreduce, vector, total)
