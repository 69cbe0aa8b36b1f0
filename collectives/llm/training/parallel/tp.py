"""Tensor parallelism: each rank has a slice of every matrix.

A branch of a block is two matrices with something between them: attention, or a GELU. The
first is cut by columns, so that each rank computes its own heads, or its own inner features,
with nobody's help; the second is cut by rows, so that each rank has a summand of the
result. So a branch has one sum on its way out, g. Its input is used by all ranks: the gradient of
that is a sum as well, f. Each is the other's backward:

        forward      backward
    f   nothing      allreduce
    g   allreduce    nothing

Layer norms, the biases behind the sum, embedding and head are alike on all ranks.

    sent per rank, block and micro-batch: 4 * 2 (N-1)/N of the activations
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.llm.training.model.layers import Boundary


class Slices(Boundary):
    """f where a branch begins, g where it ends.

    Parameters
    ----------
    comm : MPI.Intracomm
        Of the ranks that share the matrices.
    """

    def __init__(self, comm: Any):
        self.comm = comm

    def enter_backward(self, dx: np.ndarray) -> np.ndarray:
        dx = np.ascontiguousarray(dx)
        self.comm.Allreduce(MPI.IN_PLACE, dx)
        return dx

    def leave(self, y: np.ndarray) -> np.ndarray:
        y = np.ascontiguousarray(y)
        self.comm.Allreduce(MPI.IN_PLACE, y)
        return y


def mine(total: int, comm: Any) -> slice:
    """This rank's heads, or columns."""
    each = total // comm.size
    return slice(comm.rank * each, (comm.rank + 1) * each)
