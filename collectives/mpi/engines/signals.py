"""Completion signals: messages from a process to itself by which MPI's own functions wait for us.

Whoever waits has sent one, synchronously; it is received when what is waited for has
ended, which completes the send.
"""

from __future__ import annotations

import itertools
from functools import cached_property

from mpi4py import MPI

from collectives.mpi.data.lifetime import private

EMPTY = (None, 0, MPI.BYTE)


class Holding(bytes):
    """An empty message that holds something.

    mpi4py keeps a message until it has told that its request is complete, by whatever function,
    which it tells us nothing of.
    """

    held: object

    def __new__(cls, held: object) -> Holding:
        self = super().__new__(cls)
        self.held = held
        return self


class Signals:
    """Each has a tag of its own while it is needed."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._more = itertools.count()

    @cached_property
    def comm(self) -> MPI.Intracomm:
        return private(MPI.COMM_SELF)

    def take(self) -> int:
        """A tag that nobody has."""
        try:
            return self._free.pop()
        except IndexError:
            return next(self._more)

    def give(self, tag: int) -> None:
        """Nobody needs this tag any more."""
        self._free.append(tag)

    def complete(self, tag: int) -> None:
        """Receive the message with this tag, which completes its send."""
        self.comm.Recv(EMPTY, 0, tag)

    def pending(self, tag: int) -> bool:
        """Whether a message with this tag has been sent and not received."""
        return self.comm.Iprobe(0, tag)


SIGNALS = Signals()
