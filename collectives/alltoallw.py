"""Alltoallw: blocks of different datatypes, as an alltoallv of packed bytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.buffers import integers
from collectives.errors import BufferMismatch

Block = tuple[MPI.buffer, MPI.Datatype]


@dataclass(frozen=True)
class Side:
    """One side of an Alltoallw: typed blocks in the user's memory, and their packed bytes.

    Attributes
    ----------
    blocks : list
        Memory and datatype of each rank's block; None where it is empty.
    packed : numpy.ndarray
    counts : list of int
        Packed bytes of each block.
    keep : object
        What the memory belongs to.
    """

    blocks: list[Block | None]
    packed: np.ndarray
    counts: list[int]
    keep: Any

    @property
    def spec(self) -> list:
        """The packed blocks as a buffer for alltoallv."""
        return [self.packed, self.counts, None, MPI.BYTE]

    def _slices(self) -> list[tuple[MPI.buffer, MPI.Datatype, np.ndarray]]:
        starts = accumulate(self.counts, initial=0)
        pieces = [self.packed[start:][:count] for start, count in zip(starts, self.counts)]
        return [(*block, piece) for block, piece in zip(self.blocks, pieces) if block is not None]

    def pack(self) -> None:
        """From the user's memory to the packed bytes."""
        for memory, datatype, piece in self._slices():
            datatype.Pack(memory, piece, 0, MPI.COMM_SELF)

    def unpack(self) -> None:
        """From the packed bytes to the user's memory."""
        for memory, datatype, piece in self._slices():
            datatype.Unpack(piece, 0, memory, MPI.COMM_SELF)

    def free(self) -> None:
        """Give the datatypes back to MPI."""
        for block in self.blocks:
            if block is not None:
                block[1].Free()


def read_side(title: str, name: str, buf: Any, p: int, writes: bool) -> Side:
    """Read ``[data, counts, displacements in bytes, datatypes]``.

    Raises
    ------
    BufferMismatch
        It is spelled otherwise, or the memory is read-only but written.
    """
    data, counts, displs, datatypes = _spell_out(title, name, buf)
    numbers = integers(title, f"{name}'s counts", counts, p)
    starts = integers(title, f"{name}'s displacements", displs, p)
    if len(datatypes) != p:
        raise BufferMismatch(f"{title}: {name} needs {p} datatypes, got {len(datatypes)}")
    memory = MPI.buffer(b"") if data is None else MPI.buffer.frombuffer(data, not writes)
    blocks = [
        _block(memory, start, count, datatype) if count and datatype.Get_size() else None
        for start, count, datatype in zip(starts, numbers, datatypes)
    ]
    sizes = [n * datatype.Get_size() for n, datatype in zip(numbers, datatypes)]
    return Side(blocks, np.empty(sum(sizes), np.uint8), sizes, buf)


def _spell_out(title: str, name: str, buf: Any) -> tuple:
    if isinstance(buf, (list, tuple)):
        parts = list(buf)
        if len(parts) == 3 and isinstance(parts[1], (list, tuple)) and len(parts[1]) == 2:
            parts[1:2] = parts[1]
        if len(parts) == 4:
            return tuple(parts)
    raise BufferMismatch(
        f"{title}: {name} needs [data, counts, displacements in bytes, datatypes], "
        f"got {repr(buf)[:80]}"
    )


def _block(memory: MPI.buffer, start: int, count: int, datatype: MPI.Datatype) -> Block:
    """A block as one element of a datatype of its own, which outlives the user's."""
    whole = datatype.Create_contiguous(count).Commit()
    _, extent = whole.Get_extent()
    return MPI.buffer.fromaddress(memory.address + start, max(extent, 0)), whole
