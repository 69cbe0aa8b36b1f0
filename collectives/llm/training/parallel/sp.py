"""Sequence parallelism: between the matrices of tensor parallelism, each rank has some tokens.

Tensor parallelism cuts the branches, but layer norms and what is added up between the branches
are the same on all ranks: the same work and the same memory N times. Here a sequence is cut there.
An allreduce is a reduce-scatter and an allgather; the two are moved apart, to both ends of
what was alike, so nothing more is sent:

                     forward           backward
    into a branch    allgather         reduce-scatter
    out of it        reduce-scatter    allgather

Layer norms and the biases behind the branches see some of the tokens now: their gradients
have to be summed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.language.blocks import even_counts
from collectives.llm.training.ledger import shard
from collectives.llm.training.model import layers
from collectives.llm.training.model.parameters import Views
from collectives.llm.training.parallel import tp


class Pieces(layers.Boundary):
    """Beyond the boundary a rank has a piece of each sequence, within it all.

    Parameters
    ----------
    comm : MPI.Intracomm
    sequence : int
        Tokens of a sequence; some ranks have one more than others.
    """

    def __init__(self, comm: Any, sequence: int):
        self.comm = comm
        self.lengths = even_counts(sequence, comm.size)
        self.tokens = shard(sequence, comm.size, comm.rank)

    def enter(self, x: np.ndarray) -> np.ndarray:
        return self._gathered(x)

    def enter_backward(self, dx: np.ndarray) -> np.ndarray:
        return self._summed(dx)

    def leave(self, y: np.ndarray) -> np.ndarray:
        return self._summed(y)

    def leave_backward(self, dy: np.ndarray) -> np.ndarray:
        return self._gathered(dy)

    def _gathered(self, piece: np.ndarray) -> np.ndarray:
        """All pieces, (batch, piece, hidden) each, as (batch, sequence, hidden)."""
        batch, _, hidden = piece.shape
        counts = [batch * length * hidden for length in self.lengths]
        every = np.empty(sum(counts), piece.dtype)
        self.comm.Allgatherv(np.ascontiguousarray(piece), [every, counts])
        pieces = np.split(every, np.cumsum(counts)[:-1])
        return np.concatenate([x.reshape(batch, -1, hidden) for x in pieces], axis=1)

    def _summed(self, whole: np.ndarray) -> np.ndarray:
        """This rank's piece of the sum over the ranks."""
        batch, _, hidden = whole.shape
        counts = [batch * length * hidden for length in self.lengths]
        pieces = np.split(whole, np.cumsum(self.lengths)[:-1], axis=1)
        every = np.concatenate([x.ravel() for x in pieces])
        mine = np.empty(counts[self.comm.rank], whole.dtype)
        self.comm.Reduce_scatter(every, mine, counts)
        return mine.reshape(batch, -1, hidden)


class Outside:
    """A layer some of whose parameters, those beyond the boundary, see a piece of each sequence."""

    comm: Any
    outside: tuple[str, ...]

    def backward(self, w: Views, saved: Any, dy: np.ndarray, g: Views) -> np.ndarray:
        """As without it; the gradients of these parameters are summed over the pieces."""
        aside = {name: np.zeros_like(g[name]) for name in self.outside}
        inner: Any = super()
        dy = inner.backward(w, saved, dy, {**g, **aside})
        together = np.concatenate(list(aside.values()))
        self.comm.Allreduce(MPI.IN_PLACE, together)
        for name, part in zip(aside, np.split(together, len(aside))):
            g[name][...] += part
        return dy


class Block(Outside, layers.Block):
    """A block whose layer norms see a piece of each sequence."""

    def __init__(self, name: str, attention: Any, mlp: Any, comm: Any):
        super().__init__(name, attention, mlp)
        self.comm = comm


class Head(Outside, tp.Head):
    """A head whose layer norm sees a piece of each sequence."""
