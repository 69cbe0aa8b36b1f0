"""What lies where: memory that knows whose contributions it holds, and takes no space.

The buffers that an algorithm is given here are phantoms that know which part of which
memory they are. Every memory keeps, for each span of its bytes, which bytes of the vector
lie there and what went into them (`histories`). Steps and messages move and join
that. A gigabyte costs no more than a byte, and lengths are those of the real call, so that the
algorithm yields what it would yield there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from collectives.algorithms.language.memory import Phantom
from collectives.engines.places import Spans
from collectives.study.histories import UNWRITTEN, History, merged, shifted
from collectives.study.layout import Laid


class Piece(NamedTuple):
    """Some bytes: those of the vector from `start` on, with this history.

    Where `packet` is not None they are a packet, which stands for other pieces.
    """

    nbytes: int
    start: int
    history: int
    packet: Packet | None = None


class Packet:
    """What a codec has made of pieces."""

    def __init__(self, pieces: Sequence[Piece]):
        self.pieces = tuple(pieces)


class Linear(NamedTuple):
    """The byte at place x of a memory is byte x + `shift` of the vector."""

    shift: int
    history: int


class Ledger:
    """All histories met so far, by number. Number 0 is memory that nobody has written.

    Blocks in a history are bytes here.
    """

    def __init__(self) -> None:
        self.known: list[History] = []
        self._numbers: dict[History, int] = {}
        self._joined: dict[tuple[int, int, int], int] = {}
        self._doubled: dict[int, bool] = {}
        self._facts: dict[Linear, Linear] = {}
        self.number(UNWRITTEN)

    def number(self, history: History) -> int:
        number = self._numbers.setdefault(history, len(self.known))
        if number == len(self.known):
            self.known.append(history)
        return number

    def laid(self, pieces: Iterable[Laid], itemsize: int) -> list[Piece]:
        """Elements of the vector, as pieces."""
        return [
            Piece(size * itemsize, start * itemsize, self.number(((0, first, stop),)))
            for size, start, first, stop in pieces
            if size
        ]

    def join(self, left: Sequence[Piece], right: Sequence[Piece]) -> list[Piece]:
        """`left op right`, piece by piece."""
        return [
            Piece(nbytes, start, self._join(one, other - start, two))
            for nbytes, (start, one), (other, two) in _side_by_side(left, right)
        ]

    def _join(self, first: int, shift: int, second: int) -> int:
        key = first, shift, second
        if key not in self._joined:
            right = shifted(self.known[second], shift)
            self._joined[key] = self.number(merged(self.known[first], right))
        return self._joined[key]

    def heard(self, ranks: Iterable[int]) -> int:
        """The history that has these ranks, in this order."""
        return self.number(reduce(merged, [((0, rank, rank + 1),) for rank in ranks]))

    def doubled(self, history: int) -> bool:
        """Whether a contribution is in it twice."""
        if history not in self._doubled:
            runs = sorted(run for run in self.known[history] if run[1] >= 0)
            self._doubled[history] = any(
                one[0] == two[0] and two[1] < one[2] for one, two in pairwise(runs)
            )
        return self._doubled[history]

    def fact(self, shift: int, history: int) -> Linear:
        """One object for one fact: spans of the same fact become one."""
        fact = Linear(shift, history)
        return self._facts.setdefault(fact, fact)


def _side_by_side(
    left: Sequence[Piece], right: Sequence[Piece]
) -> Iterator[tuple[int, tuple[int, int], tuple[int, int]]]:
    """Both sides cut alike: bytes, and start and history on either side."""
    one, other = list(reversed(left)), list(reversed(right))
    while one and other:
        a, b = one.pop(), other.pop()
        nbytes = min(a.nbytes, b.nbytes)
        for queue, piece in ((one, a), (other, b)):
            if piece.nbytes > nbytes:
                rest = piece.nbytes - nbytes
                queue.append(piece._replace(nbytes=rest, start=piece.start + nbytes))
        starts = [a.start, b.start]
        if 0 in (a.history, b.history):  # unwritten memory is no part of the vector
            starts = [a.start if a.history else b.start] * 2
        yield nbytes, (starts[0], a.history), (starts[1], b.history)


class Vessel:
    """One memory of one rank.

    Attributes
    ----------
    number, name, nbytes
        Its number among those of the rank.
    fixed : bool
        Nobody may write to it.
    spans : Spans
        What lies where.
    written : Spans
        In which round each span was last written.
    """

    def __init__(self, number: int, name: str, nbytes: int, store: Store):
        self.number, self.name, self.nbytes, self.store = number, name, nbytes, store
        self.fixed = False
        self.spans, self.written = Spans(), Spans()

    def read(self, start: int, stop: int) -> Iterator[Piece]:
        """What lies there, in order."""
        at = start
        for first, last, fact in self.spans.within(start, stop):
            if at < first:
                yield Piece(first - at, 0, 0)
            if isinstance(fact, Packet):
                yield Piece(last - first, 0, 0, fact)
            else:
                yield Piece(last - first, first + fact.shift, fact.history)
            at = last
        if at < stop:
            yield Piece(stop - at, 0, 0)

    def write(self, start: int, piece: Piece, number: int) -> None:
        """A piece comes to lie from `start` on, in this round."""
        stop = start + piece.nbytes
        self.written.put(start, stop, number)
        if piece.packet is not None:
            self.spans.put(start, stop, piece.packet)
        elif piece.history:
            fact = self.store.ledger.fact(piece.start - start, piece.history)
            self.spans.put(start, stop, fact)
        else:
            self.spans.forget(start, stop)

    def contents(self) -> list[Piece]:
        """All that lies in it."""
        return list(self.read(0, self.nbytes))


class Vector(Phantom):
    """A phantom that knows which bytes of which memory it is.

    Attributes
    ----------
    vessel : Vessel
    start : int
        The first of its bytes; -1 if they are not side by side.
    """

    vessel: Vessel
    start: int

    def __array_finalize__(self, other: Any) -> None:
        if isinstance(other, Vector):
            self.vessel = other.vessel
        self.start = getattr(other, "start", 0)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if isinstance(found, Vector) and index is not Ellipsis:
            first, _, step = index.indices(self.size) if isinstance(index, slice) else (0, 0, 0)
            plain = step == 1 and self.start >= 0
            found.start = self.start + first * self.itemsize if plain else -1
        return found

    def scratch(self, size: int, dtype: np.dtype) -> Phantom:
        store = self.vessel.store
        return store.vector(f"scratch {len(store.vessels) - store.given + 1}", size, dtype)


class Store:
    """All memory of one rank; the first `given` ones are the caller's."""

    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self.given = 0
        self.vessels: list[Vessel] = []
        self.touched: dict[int, int] = {}  # the last round in which a memory was used

    def vector(self, name: str, size: int, dtype: np.dtype) -> Vector:
        """New memory, unwritten."""
        vessel = Vessel(len(self.vessels), name, size * dtype.itemsize, self)
        self.vessels.append(vessel)
        vector = Vector((size,), dtype, bytes(dtype.itemsize), strides=(0,))
        vector.vessel, vector.start = vessel, 0
        return vector

    def contents(self) -> list[Piece]:
        """All that lies in it."""
        return [piece for vessel in self.vessels for piece in vessel.contents()]

    def ranges(self, views: Iterable[np.ndarray], number: int) -> list[tuple[Vessel, int, int]]:
        """The memory of views, which is used in this round."""
        found = []
        for view in views:
            if view.nbytes:
                assert isinstance(view, Vector)
                found.append((view.vessel, view.start, view.start + view.nbytes))
                self.touched[view.vessel.number] = number
        return found

    def read(self, ranges: Iterable[tuple[Vessel, int, int]]) -> list[Piece]:
        """What lies there, end to end."""
        return [piece for vessel, *span in ranges for piece in vessel.read(*span)]

    def write(
        self, ranges: Iterable[tuple[Vessel, int, int]], pieces: Sequence[Piece], number: int
    ) -> None:
        """Lay pieces there, end to end, in this round."""
        waiting = list(reversed(pieces))
        for vessel, start, stop in ranges:
            while start < stop:
                piece = waiting.pop() if waiting else Piece(stop - start, 0, 0)
                here = min(piece.nbytes, stop - start)
                if here < piece.nbytes:
                    rest = piece.start + here if piece.history else 0
                    waiting.append(piece._replace(nbytes=piece.nbytes - here, start=rest))
                vessel.write(start, piece._replace(nbytes=here), number)
                start += here


def unpacked(pieces: Iterable[Piece]) -> list[Piece]:
    """What packets stand for, each once."""
    found: list[Piece] = []
    last = None
    for piece in pieces:
        if piece.packet is None:
            found.append(piece)
        elif piece.packet is not last:
            found += piece.packet.pieces
        last = piece.packet
    return found
