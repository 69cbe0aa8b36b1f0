"""How far the clocks of the ranks are apart, measured by messages there and back."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from mpi4py import MPI

from collectives.engines.records import Offset
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.progress import offer_core

TIMES = 10  # the quickest of so many counts: nothing has held it up


class Gone(Exception):
    """The other rank has not answered in time."""


class Clocks:
    """Compares this rank's clock with that of rank 0.

    Parameters
    ----------
    lane : Lane
    tag : int
        Of the messages.
    """

    def __init__(self, lane: Lane, tag: int):
        self.lane, self.tag = lane, tag
        self._end = 0.0

    def compare(self, seconds: float) -> Offset | None:
        """How far this clock is ahead; None if ranks did not come within `seconds`. Collective."""
        self._end = perf_counter() + seconds
        try:
            if self.lane.rank:
                return self._answer()
            for rank in range(1, self.lane.p):
                self._ask(rank)
        except Gone:
            self.lane.spoilt = True
            return None
        return Offset(perf_counter(), 0.0, 0.0)

    def _ask(self, rank: int) -> None:
        """Find the offset of a rank, and tell it."""
        found = []
        for _ in range(TIMES):
            began = perf_counter()
            self._send(rank)
            [there, _] = self._receive(rank)
            ended = perf_counter()
            found.append(((ended - began) / 2, there - (began + ended) / 2))
        self._send(rank, *min(found))

    def _answer(self) -> Offset:
        for _ in range(TIMES):
            self._receive(0)
            self._send(0, perf_counter())
        uncertainty, seconds = self._receive(0)
        return Offset(perf_counter(), float(seconds), float(uncertainty))

    def _send(self, rank: int, *numbers: float) -> None:
        data = np.zeros(2)
        data[: len(numbers)] = numbers
        self._wait(self.lane.comm.Isend([data, MPI.DOUBLE], *self.lane.to(rank, self.tag)), data)

    def _receive(self, rank: int) -> np.ndarray:
        data = np.empty(2)
        self._wait(self.lane.comm.Irecv([data, MPI.DOUBLE], *self.lane.of(rank, self.tag)), data)
        return data

    def _wait(self, request: MPI.Request, data: np.ndarray) -> None:
        while not request.Test():
            if perf_counter() > self._end:
                _LEFT.append((request, data))
                raise Gone
            offer_core()


_LEFT: list[object] = []  # messages that may still come, and where
