"""Jacobi's method for the Laplace equation on a square, with a global residual.

    mpirun -n 4 python examples/jacobi.py

Each rank has a strip of rows. It swaps border rows with its neighbours while the
residual of the sweep before is being summed up. An ordinary mpi4py program; `run`
takes any communicator.
"""

import sys

import numpy as np
from mpi4py import MPI


def run(comm, n=24, tolerance=1e-3, sweeps=500):
    """The number of sweeps, the last residual, and the grid on rank 0."""
    rows = n // comm.size + (comm.rank < n % comm.size)
    grid = np.zeros((rows + 2, n + 2))
    if comm.rank == 0:
        grid[0] = 1.0
    square, total = np.zeros(1), np.zeros(1)
    sweep, total[0] = 0, np.inf
    while total[0] >= tolerance**2 and sweep < sweeps:
        sweep += 1
        swap_borders(comm, grid)
        new = (grid[:-2, 1:-1] + grid[2:, 1:-1] + grid[1:-1, :-2] + grid[1:-1, 2:]) / 4
        square[0] = ((new - grid[1:-1, 1:-1]) ** 2).sum()
        request = comm.Iallreduce(square, total, op=MPI.SUM)
        grid[1:-1, 1:-1] = new
        request.Wait()
    return sweep, total[0], collect(comm, grid[1:-1], n)


def swap_borders(comm, grid):
    """The neighbours' border rows, into the rows around this rank's strip."""
    above = comm.rank - 1 if comm.rank > 0 else MPI.PROC_NULL
    below = comm.rank + 1 if comm.rank < comm.size - 1 else MPI.PROC_NULL
    comm.Sendrecv(grid[1], above, 0, grid[-1], below, 0)
    comm.Sendrecv(grid[-2], below, 1, grid[0], above, 1)


def collect(comm, strip, n):
    """The whole grid on rank 0, None elsewhere."""
    lengths = comm.gather(strip.size)
    whole = np.empty((n, n + 2)) if comm.rank == 0 else None
    recvbuf = [whole, lengths, None, MPI.DOUBLE] if comm.rank == 0 else None
    comm.Gatherv(np.ascontiguousarray(strip), recvbuf, root=0)
    return whole


if __name__ == "__main__":
    sweep, residual, _ = run(MPI.COMM_WORLD)
    if MPI.COMM_WORLD.rank == 0:
        print(f"{sweep} sweeps, residual {residual**0.5:.1e}")
    sys.exit(int(residual > 1e-6))
