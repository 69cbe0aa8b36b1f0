"""Context parallelism: each rank has a piece of each sequence, from beginning to end.

Only attention looks at other tokens. So everything else needs nobody, and for attention the keys
and values of all pieces go round a ring: in each of c steps a rank lets its queries look at
the piece that it has just now, while it passes that on. The softmax is put together from
the pieces: with the largest score and the sum of exponentials so far, what was added up before
can be rescaled. The backward goes round once more, and the gradients of keys and values travel
with them, growing at each rank, until they are home.

Later pieces are masked, so rank 0 looks at one piece and the last rank at all c.

    sent per rank, block and micro-batch, in pieces of K and V: c-1 forward; c-1 and c backward
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.llm.training.ledger import Ledger
from collectives.llm.training.model.layers import Attention, Size, later


class RingAttention(Attention):
    """Attention of the queries of this rank's piece to the keys and values of all.

    Parameters
    ----------
    size : Size
    comm : MPI.Intracomm
    ledger : Ledger
    """

    def __init__(self, size: Size, comm: Any, ledger: Ledger):
        super().__init__(size)
        self.comm, self.ledger = comm, ledger

    def attend(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, Any]:
        rank, c = self.comm.rank, self.comm.size
        largest = np.full(q.shape[:-1] + (1,), -np.inf, q.dtype)
        total, out = np.zeros_like(largest), np.zeros(q.shape, q.dtype)
        piece = mine = np.ascontiguousarray(np.stack([k, v]))
        for step in range(c):
            coming = self._pass_on(piece, "keys and values") if step < c - 1 else None
            source = (rank - step) % c
            if source <= rank:
                scores = self._scores(q, piece[0], masked=source == rank)
                grown = np.maximum(largest, scores.max(axis=-1, keepdims=True))
                shares = np.exp(scores - grown)
                shrink = np.exp(largest - grown)
                total = total * shrink + shares.sum(axis=-1, keepdims=True)
                out = out * shrink + shares @ piece[1]
                largest = grown
            piece = _arrived(coming, piece)
        out /= total
        return out, (q, mine, out, largest + np.log(total))

    def attend_backward(self, saved: Any, dout: np.ndarray) -> tuple[np.ndarray, ...]:
        q, piece, out, logsum = saved
        rank, c = self.comm.rank, self.comm.size
        along = (dout * out).sum(axis=-1, keepdims=True)
        dq, dpiece = np.zeros(q.shape, q.dtype), np.zeros_like(piece)
        for step in range(c):
            coming = self._pass_on(piece, "keys and values") if step < c - 1 else None
            source = (rank - step) % c
            if source <= rank:
                shares = np.exp(self._scores(q, piece[0], masked=source == rank) - logsum)
                dscores = shares * (dout @ piece[1].swapaxes(-1, -2) - along) * self.scale
                dq += dscores @ piece[0]
                dpiece[0] += dscores.swapaxes(-1, -2) @ q
                dpiece[1] += shares.swapaxes(-1, -2) @ dout
            piece = _arrived(coming, piece)
            dpiece = _arrived(self._pass_on(dpiece, "their gradients"), dpiece)
        return dq, *dpiece

    def _scores(self, q: np.ndarray, k: np.ndarray, masked: bool) -> np.ndarray:
        scores = q @ k.swapaxes(-1, -2)
        scores *= self.scale
        return scores + later(q.shape[-2], q.dtype) if masked else scores

    def _pass_on(self, piece: np.ndarray, what: str) -> Any:
        """Start to send a piece to the right and to receive one from the left."""
        if self.comm.size == 1:
            return None
        rank, c = self.comm.rank, self.comm.size
        arriving = np.empty_like(piece)
        self.ledger.send(what, piece)
        requests = [
            self.comm.Irecv(arriving, source=(rank - 1) % c),
            self.comm.Isend(piece, dest=(rank + 1) % c),
        ]
        return requests, arriving, piece


def _arrived(coming: Any, piece: np.ndarray) -> np.ndarray:
    """The next piece, when it is there."""
    if coming is None:
        return piece
    requests, arriving, _ = coming
    MPI.Request.Waitall(requests)
    return arriving
