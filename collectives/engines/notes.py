"""What ranks do in a beat, written down in numbers: for many ranks with phantom buffers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from collectives.algorithms.language.memory import Phantom
from collectives.algorithms.language.steps import copy, decode, encode, recv, reduce, send
from collectives.engines.batches import Messages
from collectives.engines.driver import Process


class Kinds(dict[np.dtype, int]):
    """A number for each type of elements."""

    def __missing__(self, dtype: np.dtype) -> int:
        self[dtype] = number = len(self)
        return number


class Notes:
    """Numbers of all that has been yielded since they were taken last.

    Attributes
    ----------
    sent, posted : list of int
        Rank, peer, and bytes with a type (see `batches`), one message after the other.
    work : list of int
        Rank and bytes of each reduction.
    """

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.posted: list[int] = []
        self.work: list[int] = []
        self.kinds = Kinds()

    def take(self) -> tuple[Messages, Messages, np.ndarray]:
        """Messages, recvs and reductions; the notes are empty then."""
        sent, posted, work = (
            np.array(numbers, np.int64).reshape(-1, width).T.copy()
            for numbers, width in ((self.sent, 3), (self.posted, 3), (self.work, 2))
        )
        for numbers in (self.sent, self.posted, self.work):
            numbers.clear()
        dest, source, code = posted
        return Messages.of(*sent), Messages.of(source, dest, code), work


class Scribe(Process):
    """One rank that takes notes of its rounds."""

    __slots__ = ("notes",)

    def __init__(self, title: str, rank: int, p: int, generator: Iterator, notes: Notes):
        super().__init__(title, rank, p, generator, True)
        self.notes = notes

    def note(self) -> bool:
        """Resume the algorithm, and note what it yields; whether there was anything more.

        Raises
        ------
        ScheduleError
            What it yielded breaks a rule, or it raised an error.
        """
        steps = self.resume()
        if steps is None:
            return False
        notes, rank, p = self.notes, self.rank, self.p
        for step in steps:
            kind = type(step)
            if kind is send or kind is recv:
                page, peer = (
                    (notes.sent, step.dest) if kind is send else (notes.posted, step.source)
                )
                buf = step.buf
                if type(buf) is Phantom and type(peer) is int and 0 <= peer < p and peer != rank:
                    nbytes = buf.nbytes
                    page += rank, peer, nbytes and nbytes << 8 | notes.kinds[buf.dtype]
                else:
                    message = self._message(step, buf, peer)
                    nbytes = message.nbytes
                    kind_of = nbytes and notes.kinds[message.views[0].dtype]
                    page += rank, message.peer, nbytes << 8 | kind_of
            elif kind is reduce:
                notes.work += rank, self._reduce(step).out.nbytes
            elif kind is copy:
                self._copy(step)
            elif kind is encode or kind is decode:
                self._code(step, step.src if kind is encode else step.dst)
            else:
                self._no_step(step)
        return True
