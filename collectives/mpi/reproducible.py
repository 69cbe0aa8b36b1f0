"""The sum of a distributed array, the same however it is distributed."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.errors import ArgumentError
from collectives.mpi.engines.shield import shielded
from collectives.mpi.plans.channel import channel_of
from collectives.mpi.plans.dispatch import call
from collectives.operators import accumulator, binned

# What a rank tells: whether its array was refused, whether it was complex, and the
# accumulators of the real and of the imaginary parts.
REFUSED, COMPLEX, PARTS = 0, 1, 2


@shielded
def reproducible_sum(
    comm: MPI.Intracomm, array: Any, algorithm: str | None = None, **parameters: Any
) -> float | complex:
    """The sum of all elements of all ranks' arrays, correctly rounded.

    It depends on the elements alone: not on how many ranks there are, who has which
    element, or the algorithm. Nothing is rounded before the end, so it is what `math.fsum`
    gives for all elements together.

    Parameters
    ----------
    comm : MPI.Intracomm
    array : array_like of float16, float32, float64, complex64 or complex128
        This rank's part, of any shape; it may be empty.
    algorithm : str, optional
        Of allreduce, for the 120 integers that the ranks add up.
    **parameters
        Of the algorithm.

    Returns
    -------
    float or complex
        The same on all ranks; complex if any of the arrays is.

    Raises
    ------
    ArgumentError
        On all ranks, if the array of one has other elements.

    Examples
    --------
    >>> reproducible_sum(MPI.COMM_SELF, [1e100, 1.0, -1e100])
    1.0
    """
    channel = channel_of(comm)
    mine, total = np.empty((2, PARTS + 2 * accumulator.SIZE), np.int64)
    with np.errstate(all="ignore"):
        problem = _fill(mine, array)
    call(channel, "allreduce", algorithm, (mine, total), None, MPI.SUM, parameters)
    if total[REFUSED]:
        raise problem or ArgumentError(
            f"reproducible_sum: array needs floats on all ranks, got others on {total[REFUSED]} "
            "of them; their own errors say which"
        )
    real, imaginary = map(accumulator.rounded, total[PARTS:].reshape(2, -1))
    return complex(real, imaginary) if total[COMPLEX] else real


def _fill(row: np.ndarray, array: Any) -> ArgumentError | None:
    """Write what a rank tells, or that it cannot; then the problem is returned."""
    row[:] = 0
    numbers = np.ravel(array)
    if binned.record_of(numbers.dtype) is None:
        row[REFUSED] = 1
        return ArgumentError(
            f"reproducible_sum: array needs floats of up to 64 bits, got {numbers.dtype}; "
            "convert it (integers add up exactly as they are, with MPI.SUM)"
        )
    real, imaginary = row[PARTS:].reshape(2, -1)
    real[:] = accumulator.accumulated(numbers.real)
    if numbers.dtype.kind == "c":
        row[COMPLEX] = 1
        imaginary[:] = accumulator.accumulated(numbers.imag)
    return None
