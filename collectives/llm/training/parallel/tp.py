"""Tensor parallelism: each rank has a slice of every matrix.

A branch of a block is two matrices with something between them: attention, or a GELU. The
first is cut by columns, so that each rank computes its own heads, or its own inner features,
with nobody's help; the second is cut by rows, so that each rank has a summand of the
result. So a branch has one sum on its way out, g. Its input is used by all ranks: the gradient of
that is a sum as well, f. Each is the other's backward:

        forward      backward
    f   nothing      allreduce
    g   allreduce    nothing

Embedding and head are cut by words of the vocabulary. A rank looks up the tokens whose vectors it
has, and a sum puts them together; the head's logits stay where they are computed, and of their
softmax only what is one number a token is told: the largest logit, the sum of exponentials, and
the logit of the token that comes next.

Layer norms, positions and the biases behind the sum are alike on all ranks.

    sent per rank, block and micro-batch: 4 * 2 (N-1)/N of the activations; for embedding and
    head 2 * 2 (N-1)/N of them, and three numbers a token
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.llm.training.model import layers
from collectives.llm.training.model.functions import rows


class Slices(layers.Boundary):
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


class Head(layers.Head):
    """The head of the words that this rank has.

    Parameters
    ----------
    size : Size
    words : slice
    boundary : Boundary
    comm : MPI.Intracomm
    """

    def __init__(self, size: layers.Size, words: slice, boundary: layers.Boundary, comm: Any):
        super().__init__(size, words, boundary)
        self.comm, self.words = comm, range(size.vocab)[words]

    def loss(
        self, logits: np.ndarray, targets: np.ndarray, tokens: int
    ) -> tuple[float, np.ndarray]:
        """As `cross_entropy` has it, of all words; the gradient is that of this rank's."""
        largest = self._over_words(logits.max(axis=-1), MPI.MAX)
        shares = np.exp(logits - largest[..., None])
        total = self._over_words(shares.sum(axis=-1), MPI.SUM)
        row = np.flatnonzero((targets >= self.words.start) & (targets < self.words.stop))
        place = row, targets.ravel()[row] - self.words.start
        wanted = np.zeros(targets.shape, logits.dtype)
        wanted.ravel()[row] = rows(logits)[place]
        wanted = self._over_words(wanted, MPI.SUM)
        losses = np.log(total.astype(np.float64)) + largest - wanted
        shares /= total[..., None]
        rows(shares)[place] -= 1
        shares /= tokens
        return float(losses.sum()) / tokens, shares

    def _over_words(self, mine: np.ndarray, op: MPI.Op) -> np.ndarray:
        """Of each token, a number of this rank's words made one of all words."""
        self.comm.Allreduce(MPI.IN_PLACE, mine, op=op)
        return mine
