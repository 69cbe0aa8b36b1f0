"""Relocation: a plan that has been recorded, on other memory.

What an algorithm yields depends on the lengths of its buffers, not on where they lie. So
the plan of a call serves for every other call like it: views of the buffers become the
same views of other buffers, and scratch memory stays what it is.

That holds as long as two buffers have no memory in common, neither those recorded nor the
new ones: what overlaps is refused or treated in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from mpi4py import MPI

from collectives.algorithms.steps import Buffer, Local, copy, decode, encode, reduce
from collectives.buffers import array_at
from collectives.datatypes import BYTE
from collectives.engines.driver import Message, Round
from collectives.engines.plan import Plan

Span = tuple[int, int]  # address of the first byte, and of the one after the last
Place = tuple[int, int, int, np.dtype | None]  # kind, start and stop of a view; its own dtype
Move = Callable[[np.ndarray], np.ndarray]


class Relocatable:
    """A plan, and where in which buffer each of its views lies.

    Parameters
    ----------
    plan : Plan
    spans : list of (int, int)
        The memory of the buffers for which it was recorded, which do not overlap.
    """

    def __init__(self, plan: Plan, spans: list[Span]):
        self.plan = plan
        self.kinds: list[tuple[int, np.dtype]] = []  # number of a buffer, and a dtype for it
        self.places: dict[int, Place] = {}
        for view in plan.views():
            if id(view) not in self.places and view.size:
                self._place(view, spans)

    def _place(self, view: np.ndarray, spans: list[Span]) -> None:
        address = MPI.Get_address(view)
        for number, (start, stop) in enumerate(spans):
            if start <= address < stop:
                first, between = divmod(address - start, view.itemsize)
                place: Place = self._kind(number, view.dtype), first, first + view.size, None
                if between:  # not at an element of its buffer
                    first = address - start
                    place = self._kind(number, BYTE), first, first + view.nbytes, view.dtype
                self.places[id(view)] = place

    def _kind(self, number: int, dtype: np.dtype) -> int:
        if (number, dtype) not in self.kinds:
            self.kinds.append((number, dtype))
        return self.kinds.index((number, dtype))

    def at(self, arrays: Sequence[np.ndarray]) -> Plan:
        """The plan for other buffers of the same lengths, dtypes and layouts.

        They must not overlap. The plan does not keep them.
        """
        places = self.places
        whole = [_whole(arrays[number], dtype) for number, dtype in self.kinds]

        def move(view: np.ndarray) -> np.ndarray:
            place = places.get(id(view))
            if place is None:
                return view
            kind, start, stop, dtype = place
            moved = whole[kind][start:stop]
            return moved if dtype is None else moved.view(dtype)

        rounds = [_round(each, move) for each in self.plan.rounds]
        return Plan(self.plan.title, rounds, self.plan.lines)


def spans_of(arrays: Sequence[np.ndarray]) -> list[Span]:
    """Where the memory of contiguous arrays begins and ends."""
    starts = [MPI.Get_address(array) for array in arrays]
    return [(start, start + array.nbytes) for start, array in zip(starts, arrays)]


def overlapping(spans: list[Span]) -> bool:
    """Whether two of them have memory in common."""
    filled = sorted([span for span in spans if span[0] < span[1]])
    return any(stop > start for (_, stop), (start, _) in pairwise(filled))


def _whole(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """All of an array's memory, as elements of a dtype."""
    nbytes = array.nbytes - array.nbytes % dtype.itemsize
    return array_at(MPI.Get_address(array), nbytes, dtype, not array.flags.writeable)


def _round(old: Round, move: Move) -> Round:
    sends = [_message(message, move) for message in old.sends]
    recvs = [_message(message, move) for message in old.recvs]
    return Round(sends, recvs, [_step(step, move) for step in old.local])


def _message(old: Message, move: Move) -> Message:
    return Message(tuple([move(view) for view in old.views]), old.peer)


def _step(old: Local, move: Move) -> Local:
    if isinstance(old, reduce):
        return reduce(move(old.inbuf), move(old.inoutbuf), move(old.out))
    if isinstance(old, copy):
        return copy(_buffer(old.src, move), _buffer(old.dst, move))
    if isinstance(old, encode):
        return encode(move(old.src), move(old.packet), old.codec)
    assert isinstance(old, decode)
    return decode(move(old.packet), move(old.dst), old.codec)


def _buffer(old: Buffer, move: Move) -> Buffer:
    return [move(view) for view in old] if isinstance(old, list) else move(old)
