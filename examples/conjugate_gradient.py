"""Conjugate gradient: solve A x = b for a matrix whose rows are spread over the ranks.

    mpirun -n 4 python examples/conjugate_gradient.py

An ordinary mpi4py program; `run` takes any communicator.
"""

import sys

import numpy as np
from mpi4py import MPI


def run(comm, n=240, iterations=200):
    """The solution, whole on every rank."""
    counts = [n // comm.size + (rank < n % comm.size) for rank in range(comm.size)]
    start = sum(counts[: comm.rank])
    rows = slice(start, start + counts[comm.rank])
    matrix = laplacian(n)[rows]
    direction = np.empty(n)

    def multiply(part):
        comm.Allgatherv(part, [direction, counts])
        return matrix @ direction

    def dot(one, other):
        total = np.empty(1)
        comm.Allreduce(np.array([one @ other]), total)
        return total[0]

    x = np.zeros(counts[comm.rank])
    residual = np.sin(np.arange(1, n + 1))[rows]
    p = residual.copy()
    rho = dot(residual, residual)
    for _ in range(iterations):
        product = multiply(p)
        step = rho / dot(p, product)
        x += step * p
        residual -= step * product
        rho, old = dot(residual, residual), rho
        if rho < 1e-20:
            break
        p = residual + rho / old * p
    solution = np.empty(n)
    comm.Allgatherv(x, [solution, counts])
    return solution


def laplacian(n):
    """The matrix of the one-dimensional Poisson equation, made easy to solve."""
    return 2.1 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)


if __name__ == "__main__":
    solution = run(MPI.COMM_WORLD)
    error = abs(laplacian(len(solution)) @ solution - np.sin(np.arange(1, len(solution) + 1))).max()
    if MPI.COMM_WORLD.rank == 0:
        print(f"largest residual {error:.1e}")
    sys.exit(int(error > 1e-6))
