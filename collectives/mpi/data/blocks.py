"""The buffers of an Alltoallw: blocks of different datatypes, which travel as packed bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.errors import SpellingMismatch, UnknownDatatype
from collectives.mpi.data.buffers import Vector, failing, integers, pack, within
from collectives.mpi.data.datatypes import BYTE, element_of
from collectives.mpi.data.memory import memory_of


def read_blocks(title: str, name: str, buf: Any, p: int, writes: bool) -> Vector:
    """Read ``[data, counts, displacements in bytes, datatypes]`` as a vector of bytes.

    Without counts and displacements each block is one element at the beginning.

    Raises
    ------
    BufferMismatch
        It is spelled otherwise, the memory is read-only but written, or too short. Blocks
        without data need none.
    """
    fail = failing(title, name)
    data, counts, displs, datatypes = _spell_out(buf, p, fail)
    numbers = integers(title, f"{name}'s counts", counts, p)
    starts = integers(title, f"{name}'s displacements", displs, p, least=None)
    types = _datatypes(datatypes, p, fail)
    memory = memory_of(MPI.BOTTOM if data is None else data, writes, False, fail)
    for block, (n, start, datatype) in enumerate(zip(numbers, starts, types)):
        if n and datatype.Get_size():
            low, high = element_of(datatype).reach(n)
            within(memory, start + low, start + high, f"block {block}", fail)
    sizes = [n * datatype.Get_size() for n, datatype in zip(numbers, types)]
    view = np.empty(sum(sizes), BYTE)
    staging = pack(memory, view, numbers, starts, types)
    return Vector(view, element_of(MPI.BYTE), memory, counts=sizes, staging=staging)


def _spell_out(buf: Any, p: int, fail) -> tuple:
    if isinstance(buf, (list, tuple)):
        parts = list(buf)
        if len(parts) == 2:
            parts[1:1] = None, None
        elif len(parts) == 3 and isinstance(parts[1], (list, tuple)) and len(parts[1]) == 2:
            parts[1:2] = parts[1]
        if len(parts) == 4:
            data, counts, displs, datatypes = parts
            if counts is None and displs is None and not (data is None or data is MPI.BOTTOM):
                counts, displs = [1] * p, [0] * p
            return data, counts, displs, datatypes
    needed = "[data, counts, displacements in bytes, datatypes]"
    raise fail(needed, repr(buf)[:80], error=SpellingMismatch)


def _datatypes(datatypes: Any, p: int, fail) -> list[MPI.Datatype]:
    try:
        types = list(datatypes)
    except TypeError as error:
        raise fail(f"{p} datatypes", repr(datatypes)[:80], error=SpellingMismatch) from error
    if len(types) != p:
        raise fail(f"{p} datatypes", len(types))
    for datatype in types:
        if not isinstance(datatype, MPI.Datatype):
            raise fail("datatypes", repr(datatype)[:80], error=SpellingMismatch)
        if datatype == MPI.DATATYPE_NULL:
            raise fail("datatypes", "MPI.DATATYPE_NULL", error=UnknownDatatype)
    return types
