"""A sum that depends on how it is computed, and one that does not.

mpirun -n 4 python examples/reproducible.py
"""

import numpy as np
from mpi4py import MPI

import collectives


def run(comm, n=1000):
    """1 + 1/2 + ... + 1/n, summed as usual and reproducibly."""
    mine = 1.0 / np.arange(comm.rank + 1, n + 1, comm.size)
    partial, total = np.add.accumulate(mine)[-1:], np.empty(1)
    comm.Allreduce(partial, total)
    return float(total[0]), collectives.reproducible_sum(comm, mine)


def element_by_element(comm, algorithm):
    """One element of each rank, added up as usual and reproducibly. On 4 ranks: 2."""
    mine = np.array([[1e16, 1.0, -1e16, 1.0][comm.rank % 4]])
    usual, ours = np.empty(1), np.empty(1)
    collectives.allreduce(comm, mine, usual, MPI.SUM, algorithm)
    collectives.allreduce(comm, mine, ours, collectives.REPRODUCIBLE_SUM, algorithm)
    return float(usual[0]), float(ours[0])


def main(world):
    rows = [("ranks", "usual sum", "reproducible_sum")]
    for p in range(1, world.size + 1):
        some = world.Split(world.rank < p)
        rows.append((f"{p}", *map(repr, run(some))))
        some.Free()
    rows += [("", "", ""), ("algorithm", "MPI.SUM", "REPRODUCIBLE_SUM")]
    for name in ("ring", "recursive_doubling", "tree", "naive"):
        rows.append((name, *map(repr, element_by_element(world, name))))
    if world.rank == 0:
        print("\n".join(f"{a:20}{b:20}{c}".rstrip() for a, b, c in rows))


if __name__ == "__main__":
    main(MPI.COMM_WORLD)
