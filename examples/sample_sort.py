"""Sample sort: keys spread over the ranks, sorted across them.

    mpirun -n 4 python examples/sample_sort.py

An ordinary mpi4py program; `run` takes any communicator.
"""

import sys

import numpy as np
from mpi4py import MPI


def run(comm, n=5000, seed=1):
    """This rank's part of the sorted keys."""
    keys = np.sort(np.random.default_rng(seed + comm.rank).integers(0, 10**6, n + 10 * comm.rank))
    splitters = choose_splitters(comm, keys)
    cuts = [0, *np.searchsorted(keys, splitters).tolist(), len(keys)]
    going = np.diff(cuts)
    coming = np.empty(comm.size, going.dtype)
    comm.Alltoall(going, coming)
    mine = np.empty(coming.sum(), keys.dtype)
    comm.Alltoallv([keys, going], [mine, coming])
    mine.sort()
    return mine


def choose_splitters(comm, keys):
    """p - 1 keys that cut all keys into parts of nearly the same length."""
    samples = comm.gather(keys[:: max(1, len(keys) // (4 * comm.size))], root=0)
    splitters = np.empty(comm.size - 1, keys.dtype)
    if comm.rank == 0:
        samples = np.sort(np.concatenate(samples))
        splitters[:] = samples[len(samples) * np.arange(1, comm.size) // comm.size]
    comm.Bcast(splitters, root=0)
    return splitters


if __name__ == "__main__":
    comm = MPI.COMM_WORLD
    parts = comm.gather(run(comm))
    right = True
    if comm.rank == 0:
        keys = np.concatenate(parts)
        right = bool((keys[1:] >= keys[:-1]).all())
        lengths = ", ".join(str(len(part)) for part in parts)
        print(f"{len(keys)} keys {'in order' if right else 'NOT in order'}, by rank {lengths}")
    sys.exit(not comm.bcast(right))
