"""Staging: a call works on memory of the library's own, and the user's is copied in and out.

What has gaps has to be packed before an algorithm can work on it; numbers may have to be
made wider; and short vectors are copied, because then one plan serves every call of a
shape, wherever the user's buffers lie. Each is told the address of the user's memory
when a call comes, so that nothing of the plan depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from mpi4py import MPI

from collectives.engines.packing import address_of, array_at, calm
from collectives.mpi.data.datatypes import Layout
from collectives.mpi.data.gpu import Gpu
from collectives.operators.operator import Widening

_memory_at: Any = MPI.buffer.fromaddress

Interval = tuple[int, int]  # of bytes: the first, and the one after the last


class Staging(Protocol):
    """How one buffer is brought into memory of the library's own, and back.

    Attributes
    ----------
    view : numpy.ndarray
        That memory, which an algorithm works on.
    """

    view: np.ndarray

    def load(self, address: int) -> None:
        """From the user's memory, which begins at this address."""

    def store(self, address: int) -> None:
        """To the user's memory."""


class Copied:
    """A vector without gaps.

    It copies what `restrict` says, and without it nothing: which parts of a buffer a call
    reads and writes follows from its plan.

    Parameters
    ----------
    size : int
        Elements.
    dtype : numpy.dtype
    offset : int
        Bytes from the beginning of the user's memory to the vector.
    """

    def __init__(self, size: int, dtype: np.dtype, offset: int):
        self.view = np.empty(size, dtype)
        self.offset = offset
        self.written = False  # by the plan, whether that is copied out or not
        self._in: list[tuple[memoryview, int, int]] = []
        self._out: list[tuple[memoryview, int, int]] = []

    def restrict(self, reads: Sequence[Interval], writes: Sequence[Interval]) -> None:
        """Copy in the parts that are read, and out those that are written."""
        memory = self.view.view(np.uint8).data
        self._in, self._out = (
            [(memory[low:high], self.offset + low, high - low) for low, high in parts]
            for parts in (reads, writes)
        )

    def place(self) -> Place:
        """Where it is, as if it were in the user's memory."""
        start, nbytes = address_of(self.view), self.view.nbytes
        return Place(start - self.offset, self.offset, self.offset + nbytes, False)

    def load(self, address: int) -> None:
        for own, offset, nbytes in self._in:
            own[:] = _memory_at(address + offset, nbytes, True)

    def store(self, address: int) -> None:
        for own, offset, nbytes in self._out:
            _memory_at(address + offset, nbytes)[:] = own


class Packed:
    """Data with gaps, packed block after block."""

    def __init__(self, view: np.ndarray, layout: Layout):
        self.view = view
        self.pack, self.unpack = layout.pack, layout.unpack

    def load(self, address: int) -> None:
        self.pack(_memory_at(address, 1), self.view)

    def store(self, address: int) -> None:
        self.unpack(self.view, _memory_at(address, 1))


class Widened:
    """Numbers, as the wider elements that an operator works on.

    Parameters
    ----------
    numbers : numpy.ndarray
        In the user's memory.
    origin : int
        Where that memory begins.
    dtype : numpy.dtype
        Of the wider elements.
    widening : Widening
    """

    def __init__(self, numbers: np.ndarray, origin: int, dtype: np.dtype, widening: Widening):
        self.view = np.empty(numbers.size, dtype)
        self.offset = address_of(numbers) - origin if numbers.size else 0
        self.nbytes, self.dtype = numbers.nbytes, numbers.dtype
        self._encode, self._decode = calm(widening.encode), calm(widening.decode)

    def load(self, address: int) -> None:
        self._encode(array_at(address + self.offset, self.nbytes, self.dtype), self.view)

    def store(self, address: int) -> None:
        self._decode(self.view, array_at(address + self.offset, self.nbytes, self.dtype))


class Fetched:
    """A vector without gaps in the memory of a GPU.

    Parameters
    ----------
    size : int
        Elements.
    dtype : numpy.dtype
    offset : int
        Bytes from the beginning of the user's memory to the vector.
    gpu : Gpu
    """

    def __init__(self, size: int, dtype: np.dtype, offset: int, gpu: Gpu):
        self.view = np.empty(size, dtype)
        self.offset = offset
        self._gpu = gpu

    def load(self, address: int) -> None:
        self._gpu.fetch(address + self.offset, self.view)

    def store(self, address: int) -> None:
        self._gpu.bring(address + self.offset, self.view)


class Chained:
    """Memory that is staged twice: the second finds what it needs in that of the first.

    What the second does not write, such as gaps, stays as it is.
    """

    def __init__(self, first: Staging, second: Staging):
        self.first, self.second = first, second
        self.view = second.view

    def load(self, address: int) -> None:
        self.first.load(address)
        self.second.load(address_of(self.first.view))

    def store(self, address: int) -> None:
        self.first.load(address)
        self.second.store(address_of(self.first.view))
        self.first.store(address)


@dataclass
class Staged:
    """A buffer of a call that is staged.

    Attributes
    ----------
    position : int
        Of the buffer among those of the call.
    staging : Staging
    loads, stores : bool
        Whether what is in the buffer counts, and whether it gets anything.
    """

    position: int
    staging: Staging
    loads: bool
    stores: bool


class Place(NamedTuple):
    """A vector that an algorithm works on where it is.

    Attributes
    ----------
    address : int
        Of the user's buffer.
    first, last : int
        Where the vector begins and ends there, in bytes from the address.
    readonly : bool
    """

    address: int
    first: int
    last: int
    readonly: bool


@dataclass
class Placement:
    """Where the buffers of a call are.

    Attributes
    ----------
    staged : list of Staged
    addresses : dict of int
        Of all buffers, by position.
    placed : dict of Place
        Those that an algorithm works on where they are, by position.
    apart : tuple or None
        Two parts of buffers that must not overlap, each with the position of the buffer and
        where the part begins and ends, in bytes from the address of the buffer.
    """

    staged: list[Staged] = field(default_factory=list)
    addresses: dict[int, int] = field(default_factory=dict)
    placed: dict[int, Place] = field(default_factory=dict)
    apart: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None

    @property
    def mixed(self) -> bool:
        """Whether a vector without gaps is copied beside one that is not."""
        copied = [each for each in self.staged if isinstance(each.staging, Copied)]
        return bool(copied and self.placed)

    def allows(self, addresses: Sequence[Any]) -> bool:
        """Whether buffers at these addresses are apart."""
        if self.apart is None:
            return True
        (one, first, last), (other, start, end) = self.apart
        here, there = addresses[one], addresses[other]
        return here + last <= there + start or there + end <= here + first
