"""Relocation: the stages of a plan that has been recorded, on other memory.

What an algorithm yields depends on the lengths of its buffers, not on where they lie. So
the stages made for one call serve for every other call like it: what lay in a buffer of
the one lies at the same place in a buffer of the other, and scratch memory stays what it
is. A message is an address, and a local step a function with arrays as arguments.

That holds as long as two buffers have no memory in common, neither those recorded nor the
new ones: what overlaps is refused when a call is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.engines.packing import Call, Work, array_at
from collectives.mpi.data.staging import Place
from collectives.mpi.engines.stages import Message, Stage

# Makes something for other buffers, which it is given in all forms that are needed.
Mover = Callable[[list], Any]

# What a buffer is needed as, besides an array of some dtype.
_ADDRESS, _BYTES = "address", "bytes"

_buffer = MPI.buffer.fromaddress


class NotMovable(Exception):
    """There is more to a stage than addresses and arrays."""


class Relocatable:
    """Stages, and what of them lies where in which buffer.

    Parameters
    ----------
    stages : list of Stage
    places : dict of Place
        Where the vectors are for which they were made, by the position of their buffers.

    Raises
    ------
    NotMovable
    """

    def __init__(self, stages: list[Stage], places: Mapping[int, Place]):
        self._places = places
        self._forms: dict[tuple[int, Any], int] = {}  # number of the buffer and what it is as
        self._movers = [self._stage(stage) for stage in stages]

    def at(self, addresses: Sequence[Any]) -> list[Stage]:
        """The stages for other buffers of the same lengths, dtypes and layouts.

        Parameters
        ----------
        addresses : sequence
            Of all buffers of the call. They must not overlap.
        """
        forms = [
            _form(addresses[position], self._places[position], form)
            for position, form in self._forms
        ]
        return [move(forms) for move in self._movers]

    def _stage(self, stage: Stage) -> Mover:
        before, after = ([self._call(x) for x in calls] for calls in (stage.before, stage.after))
        sends, recvs = ([self._message(x) for x in each] for each in (stage.sends, stage.recvs))
        rest = stage.round, stage.packed_bytes, stage.line, stage.number
        return lambda forms: Stage(
            [move(forms) for move in before],
            [move(forms) for move in sends],
            [move(forms) for move in recvs],
            [move(forms) for move in after],
            *rest,
        )

    def _call(self, call: Call) -> Mover:
        function = call.func if isinstance(call, partial) and not call.keywords else None
        if function is None or isinstance(getattr(function, "__self__", None), np.ndarray):
            raise NotMovable
        movers = [self._argument(x) for x in call.args]  # type: ignore[attr-defined]
        return lambda forms: Work(function, *[move(forms) for move in movers])

    def _message(self, message: Message) -> Mover:
        (memory, count, datatype), peer = message
        place = None if memory is None else self._find(memory.address, memory.nbytes)
        if place is None:
            return _as_it_is(message)
        number, offset, nbytes = *place, memory.nbytes
        at = self._as(number, _ADDRESS)
        return lambda forms: ((_buffer(forms[at] + offset, nbytes), count, datatype), peer)

    def _argument(self, value: Any) -> Mover:
        if isinstance(value, (np.ndarray, memoryview)):
            return self._view(value)
        if isinstance(value, list):
            movers = [self._argument(x) for x in value]
            return lambda forms: [move(forms) for move in movers]
        if value is ... or isinstance(value, (int, slice)) or callable(value):
            return _as_it_is(value)
        raise NotMovable

    def _view(self, view: np.ndarray | memoryview) -> Mover:
        place = self._find(MPI.Get_address(view), view.nbytes)
        if place is None:
            return _as_it_is(view)
        number, offset = place
        first, between = divmod(offset, view.itemsize)
        if between:  # its buffer cannot be taken for an array of its dtype
            raise NotMovable
        at = self._as(number, view.dtype if isinstance(view, np.ndarray) else _BYTES)
        where = slice(first, first + len(view))
        return lambda forms: forms[at][where]

    def _find(self, address: int, nbytes: int) -> tuple[int, int] | None:
        """The position of the buffer that has this memory, and where; None if it is scratch."""
        for position, (origin, first, last, _) in self._places.items():
            start, stop = origin + first, origin + last
            if start < address + nbytes and address < stop:
                if address < start or stop < address + nbytes:
                    raise NotMovable  # neighbours that were joined
                return position, address - start
        return None

    def _as(self, number: int, form: Any) -> int:
        return self._forms.setdefault((number, form), len(self._forms))


def _form(address: int, place: Place, form: Any) -> Any:
    """A vector as its address, its bytes, or an array of a dtype."""
    start, nbytes = address + place.first, place.last - place.first
    if form is _ADDRESS:
        return start
    if form is _BYTES:
        memory: Any = _buffer(start, nbytes, place.readonly)
        return memoryview(memory)
    return array_at(start, nbytes - nbytes % form.itemsize, form, place.readonly)


def _as_it_is(thing: Any) -> Mover:
    return lambda _: thing
