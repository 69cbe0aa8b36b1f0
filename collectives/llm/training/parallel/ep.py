"""Expert parallelism: each rank has some of the experts, and its own part of the data.

A router sends tokens to experts, which may be on other ranks: an all-to-all takes each row to the
rank of its expert, another one takes what the expert made of it home. The backward takes
gradients the same ways. Nobody knows beforehand how many rows come: the ranks tell each other
first, in an all-to-all of counts.

Experts see the tokens of all ranks, so their gradients are complete. Everything else
is as in data parallelism.

    sent per rank, block and micro-batch: 4 times the rows whose expert is elsewhere, and counts
"""

from __future__ import annotations

from typing import Any

import numpy as np

from collectives.llm.training.ledger import Ledger
from collectives.llm.training.model.moe import Exchange, Way


class AllToAll(Exchange):
    """Rows go to the ranks of their experts.

    Parameters
    ----------
    comm : MPI.Intracomm
    experts : int
        All of them; each rank has as many.
    ledger : Ledger
    """

    def __init__(self, comm: Any, experts: int, ledger: Ledger):
        self.comm, self.each, self.ledger = comm, experts // comm.size, ledger

    def plan(self, counts: np.ndarray) -> Way:
        leaving = np.ascontiguousarray(counts, np.int64).reshape(self.comm.size, self.each)
        coming = np.empty_like(leaving)
        self.comm.Alltoall(leaving, coming)
        self.ledger.routed.append(leaving.sum(axis=1).tolist())
        # Rows come by rank, and from each rank by expert; experts want theirs together.
        expert = np.repeat(np.tile(np.arange(self.each), self.comm.size), coming.ravel())
        order = np.argsort(expert, kind="stable")
        return Way(coming.sum(axis=0), (leaving.sum(axis=1), coming.sum(axis=1), order))

    def out(self, way: Way, there: np.ndarray) -> np.ndarray:
        leaving, coming, order = way.how
        return self._exchanged(there, leaving, coming)[order]

    def home(self, way: Way, here: np.ndarray) -> np.ndarray:
        leaving, coming, order = way.how
        by_rank = np.empty_like(here)
        by_rank[order] = here
        return self._exchanged(by_rank, coming, leaving)

    def _exchanged(self, rows: np.ndarray, leaving: np.ndarray, coming: np.ndarray) -> np.ndarray:
        """Rows that other ranks have for this one, for those that it has for them."""
        width = rows.shape[1]
        arrived = np.empty((coming.sum(), width), rows.dtype)
        self.comm.Alltoallv(
            [np.ascontiguousarray(rows), (leaving * width).tolist()],
            [arrived, (coming * width).tolist()],
        )
        return arrived
