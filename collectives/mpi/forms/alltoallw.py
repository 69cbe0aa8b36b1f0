"""Alltoallw: blocks of different datatypes, as an alltoallv of packed bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.errors import BufferMismatch, MemoryMismatch, SpellingMismatch, UnknownDatatype
from collectives.mpi.data.buffers import integers
from collectives.mpi.data.datatypes import Layout, element_of


@dataclass(frozen=True)
class Side:
    """One side of an Alltoallw: typed blocks in the user's memory, and their packed bytes.

    Attributes
    ----------
    packed : numpy.ndarray
    counts : list of int
        Packed bytes of each block.
    layout : Layout or None
        Where the blocks lie; None if all are empty.
    """

    packed: np.ndarray
    counts: list[int]
    layout: Layout | None

    @property
    def spec(self) -> list:
        """The packed blocks as a buffer for alltoallv."""
        return [self.packed, self.counts, None, MPI.BYTE]

    def pack(self) -> None:
        """From the user's memory to the packed bytes."""
        if self.layout is not None:
            self.layout.pack(self.packed)

    def unpack(self) -> None:
        """From the packed bytes to the user's memory."""
        if self.layout is not None:
            self.layout.unpack(self.packed)


def read_side(title: str, name: str, buf: Any, p: int, writes: bool) -> Side:
    """Read ``[data, counts, displacements in bytes, datatypes]``.

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
    try:
        memory = MPI.buffer(b"") if data is None else MPI.buffer.frombuffer(data, not writes)
    except (BufferError, ValueError) as error:
        needed = "contiguous memory" + writes * " that is writable"
        message = f"{title}: {name} needs {needed}, got {type(data)} ({error})"
        raise MemoryMismatch(message) from error
    except TypeError as error:
        message = f"{title}: {name} needs an object with memory, got {type(data)}"
        raise SpellingMismatch(message) from error
    for block, (n, start, datatype) in enumerate(zip(numbers, starts, types)):
        low, high = element_of(datatype).reach(n) if n else (0, 0)
        if start + low < 0 or start + high > memory.nbytes:
            message = f"bytes {start + low} to {start + high} for block {block}"
            raise BufferMismatch(f"{title}: {name} needs {message}, got {memory.nbytes} bytes")
    sizes = [n * datatype.Get_size() for n, datatype in zip(numbers, types)]
    layout = None
    if sum(sizes):
        layout = Layout(memory.address, numbers, starts, types, keep=buf)
    return Side(np.empty(sum(sizes), np.uint8), sizes, layout)


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
