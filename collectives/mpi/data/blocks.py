"""The buffers of an Alltoallw: blocks of different datatypes, which travel as packed bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.errors import BufferMismatch, MemoryMismatch, SpellingMismatch, UnknownDatatype
from collectives.mpi.data.buffers import Memory, Vector, integers
from collectives.mpi.data.datatypes import BYTE, Layout, element_of
from collectives.mpi.data.staging import Packed


def read_blocks(title: str, name: str, buf: Any, p: int, writes: bool) -> Vector:
    """Read ``[data, counts, displacements in bytes, datatypes]`` as a vector of bytes.

    Without counts and displacements each block is one element at the beginning.

    Raises
    ------
    BufferMismatch
        It is spelled otherwise, or the memory is read-only but written.
    """
    data, counts, displs, datatypes = _spell_out(title, name, buf, p)
    numbers = integers(title, f"{name}'s counts", counts, p)
    starts = integers(title, f"{name}'s displacements", displs, p)
    types = _datatypes(title, name, datatypes, p)
    memory = _memory(title, name, data, writes)
    for block, (n, start, datatype) in enumerate(zip(numbers, starts, types)):
        low, high = element_of(datatype).reach(n) if n else (0, 0)
        if start + low < 0 or start + high > memory.nbytes:
            message = f"bytes {start + low} to {start + high} for block {block}"
            raise BufferMismatch(f"{title}: {name} needs {message}, got {memory.nbytes} bytes")
    sizes = [n * datatype.Get_size() for n, datatype in zip(numbers, types)]
    view = np.empty(sum(sizes), BYTE)
    staging = Packed(view, Layout(numbers, starts, types)) if view.size else None
    return Vector(view, element_of(MPI.BYTE), memory, counts=sizes, staging=staging)


def _memory(title: str, name: str, data: Any, writes: bool) -> Memory:
    try:
        found = MPI.buffer(b"") if data is None else MPI.buffer.frombuffer(data, not writes)
    except (BufferError, ValueError) as error:
        needed = "contiguous memory" + writes * " that is writable"
        message = f"{title}: {name} needs {needed}, got {type(data)} ({error})"
        raise MemoryMismatch(message) from error
    except TypeError as error:
        message = f"{title}: {name} needs an object with memory, got {type(data)}"
        raise SpellingMismatch(message) from error
    return Memory(found.address, found.nbytes, not writes, BYTE)


def _spell_out(title: str, name: str, buf: Any, p: int) -> tuple:
    if isinstance(buf, (list, tuple)):
        parts = list(buf)
        if len(parts) == 2:
            parts[1:1] = [1] * p, [0] * p
        elif len(parts) == 3 and isinstance(parts[1], (list, tuple)) and len(parts[1]) == 2:
            parts[1:2] = parts[1]
        if len(parts) == 4:
            return tuple(parts)
    raise SpellingMismatch(
        f"{title}: {name} needs [data, counts, displacements in bytes, datatypes], "
        f"got {repr(buf)[:80]}"
    )


def _datatypes(title: str, name: str, datatypes: Any, p: int) -> list[MPI.Datatype]:
    types = list(datatypes)
    if len(types) != p:
        raise BufferMismatch(f"{title}: {name} needs {p} datatypes, got {len(types)}")
    for datatype in types:
        if not isinstance(datatype, MPI.Datatype) or datatype == MPI.DATATYPE_NULL:
            message = f"{title}: {name} needs datatypes, got {datatype!r}"
            raise UnknownDatatype(message)
    return types
