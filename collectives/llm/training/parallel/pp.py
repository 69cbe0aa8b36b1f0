"""Pipeline parallelism: each rank, a stage, has some of the layers.

Activations go to the next stage, their gradients come back; only neighbours talk. One
micro-batch would leave all stages but one idle, so there are several, and a schedule says what a
stage does when:

    GPipe   all forwards, then all backwards: activations of all micro-batches are kept
    1F1B    each stage begins its backwards as early as it can, and then takes forward and
            backward in turn: it keeps those of at most as many as there are stages from it on

Both leave a stage idle for the same time, (p-1) of (m + p-1) turns: the bubble.

    sent per rank and micro-batch: the activations, to either side
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.llm.training.ledger import Ledger
from collectives.llm.training.model.layers import Layer
from collectives.llm.training.passes import Batch, backward, forward
from collectives.llm.training.state import State

Turn = tuple[str, int]  # what is done with which micro-batch


def gpipe(stage: int, stages: int, micro_batches: int) -> Iterator[Turn]:
    """All forwards, then all backwards."""
    for i in range(micro_batches):
        yield "forward", i
    for i in range(micro_batches):
        yield "backward", i


def one_f_one_b(stage: int, stages: int, micro_batches: int) -> Iterator[Turn]:
    """As many forwards as it takes until gradients come, then one of each in turn."""
    ahead = min(stages - stage - 1, micro_batches)
    for i in range(ahead):
        yield "forward", i
    for i in range(micro_batches):
        if ahead + i < micro_batches:
            yield "forward", ahead + i
        yield "backward", i


SCHEDULES = {"gpipe": gpipe, "1f1b": one_f_one_b}


class Pipeline:
    """Runs a step's micro-batches through the stages.

    Parameters
    ----------
    comm : MPI.Intracomm
        Of the stages, in order.
    schedule : str
    shape : tuple of int
        Of what a stage hands on, but for the batch: (sequence, hidden).
    dtype : numpy.dtype
    ledger : Ledger

    Attributes
    ----------
    most : int
        The most micro-batches whose activations were kept at a time.
    """

    def __init__(
        self, comm: Any, schedule: str, shape: tuple[int, int], dtype: Any, ledger: Ledger
    ):
        self.comm, self.schedule = comm, SCHEDULES[schedule]
        self.shape, self.dtype, self.ledger = shape, dtype, ledger
        self.first, self.last = comm.rank == 0, comm.rank == comm.size - 1
        self.most = 0

    def run(
        self,
        layers: Sequence[Layer],
        state: State,
        batches: Sequence[Batch],
        tokens: int,
        scale: float,
    ) -> list[float]:
        """A step; returns the losses, which the last stage knows."""
        losses, saved, outputs = [0.0] * len(batches), {}, {}
        head: Any = layers[-1]  # on the last stage
        self.sending: list[Any] = []  # with the arrays, until all have been received
        for turn, i in self.schedule(self.comm.rank, self.comm.size, len(batches)):
            inputs, targets = batches[i]
            if turn == "forward":
                x = inputs if self.first else self._receive(len(inputs), self.comm.rank - 1)
                y, saved[i] = forward(layers, state, x)
                self.most = max(self.most, len(saved))
                if self.last:
                    losses[i], outputs[i] = head.loss(y, targets, tokens)
                else:
                    self._send(y, self.comm.rank + 1, "activations")
            else:
                if self.last:
                    dy = outputs.pop(i) * scale
                else:
                    dy = self._receive(len(inputs), self.comm.rank + 1)
                dx = backward(layers, state, saved.pop(i), dy, last=i == len(batches) - 1)
                if not self.first:
                    self._send(dx, self.comm.rank - 1, "their gradients")
        MPI.Request.Waitall([request for request, _ in self.sending])
        self.sending.clear()
        return losses

    def _send(self, array: np.ndarray, dest: int, what: str) -> None:
        """Start to send. To wait here could mean to wait for somebody who waits to send to us."""
        array = np.ascontiguousarray(array)
        self.ledger.send(what, array)
        self.sending.append((self.comm.Isend(array, dest), array))

    def _receive(self, batch: int, source: int) -> np.ndarray:
        array = np.empty((batch, *self.shape), self.dtype)
        self.comm.Recv(array, source)
        return array
