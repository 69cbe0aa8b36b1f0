"""What ranks do in a beat, written down in numbers: for many ranks with phantom buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from collectives.algorithms.language.memory import Phantom
from collectives.algorithms.language.steps import copy, decode, encode, recv, reduce, send
from collectives.engines.batches import Messages
from collectives.engines.driver import Process

# Messages of a run up to which its notes are kept.
KEPT = 600_000


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
        self.score: Score | None = None

    def take(self) -> tuple[Messages, Messages, np.ndarray]:
        """Messages, recvs and reductions; the notes are empty then."""
        sent, posted, work = (
            np.array(numbers, np.int64).reshape(-1, width).T.copy()
            for numbers, width in ((self.sent, 3), (self.posted, 3), (self.work, 2))
        )
        for numbers in (self.sent, self.posted, self.work):
            numbers.clear()
        if self.score is not None:
            self.score.add(sent, posted, work)
        return _read(sent, posted, work)


def _read(
    sent: np.ndarray, posted: np.ndarray, work: np.ndarray
) -> tuple[Messages, Messages, np.ndarray]:
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


def cast(title: str, p: int, program: Callable[[int], Iterator]) -> tuple[Any, list[Any]]:
    """Notes, and the ranks that fill them."""
    if isinstance(program, Score):
        return program.cast(title, p)
    notes = Notes()
    return notes, [Scribe(title, rank, p, program(rank), notes) for rank in range(p)]


class Score:
    """A program whose notes are kept, so that it need not run again under another law.

    What ranks do in each beat is the same whatever it costs, as long as the same messages wait
    for their recvs.

    Parameters
    ----------
    program : callable
        `program(rank)` returns the algorithm's generator for that rank.
    """

    def __init__(self, program: Callable[[int], Iterator]):
        self.program = program
        self.pages: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.messages = 0
        self.rounds: list[int] = []  # of each rank, when all of the run has been kept
        self._scribes: list[Scribe] = []

    def __call__(self, rank: int) -> Iterator:
        """The algorithm's generator for a rank."""
        return self.program(rank)

    def cast(self, title: str, p: int) -> tuple[Any, list[Any]]:
        """As the function; who has read once reads again."""
        if self.rounds:
            return _Pages(self.pages), [_Reader(rounds) for rounds in self.rounds]
        self.pages, self.messages = [], 0
        notes, self._scribes = cast(title, p, self.program)
        notes.score = self
        return notes, [*self._scribes]

    def add(self, sent: np.ndarray, posted: np.ndarray, work: np.ndarray) -> None:
        """Keep a beat."""
        self.messages += sent.shape[1]
        self.pages.append((sent, posted, work))
        if self.messages > KEPT:
            self.pages.clear()

    def close(self) -> None:
        """The run has come to its end."""
        if self.messages <= KEPT and not self.rounds:
            self.rounds = [scribe.rounds - 1 for scribe in self._scribes]
        self._scribes = []


class _Pages:
    """Notes that were kept."""

    def __init__(self, pages: list[tuple[np.ndarray, np.ndarray, np.ndarray]]):
        self._left = iter(pages)

    def take(self) -> tuple[Messages, Messages, np.ndarray]:
        """As in `Notes`."""
        return _read(*next(self._left))


class _Reader:
    """One rank whose rounds are among the notes that were kept."""

    __slots__ = ("number", "rounds")

    def __init__(self, rounds: int):
        self.number, self.rounds = 0, rounds

    def note(self) -> bool:
        """As in `Scribe`."""
        self.number += 1
        return self.number <= self.rounds
