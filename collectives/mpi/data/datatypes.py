"""What a datatype says: which basic types, and where they lie.

Two ranks may spell the same data differently: three int32 here, one vector of
three int32 there. What MPI has them agree on is the type signature, the sequence
of basic types. So the algorithms count in a unit that follows from it alone: the
basic type, if there is only one, and bytes if there are several.

Data with gaps are packed before an algorithm starts and unpacked after it, each
time it runs, so an algorithm only ever sees vectors without gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate

import numpy as np
from mpi4py import MPI
from mpi4py.util import dtlib

from collectives.mpi.data.lifetime import private
from collectives.mpi.data.tokens import Token, token_of

BYTE = np.dtype(np.uint8)
_SELF = MPI.COMM_SELF
LARGEST = 2**31 - 1  # what a count of MPI 3 holds

# Combiners that repeat one datatype, and repeat it without gaps if the whole has none.
_REPEATS = {
    MPI.COMBINER_CONTIGUOUS,
    MPI.COMBINER_DUP,
    MPI.COMBINER_HVECTOR,
    MPI.COMBINER_RESIZED,
    MPI.COMBINER_SUBARRAY,
    MPI.COMBINER_VECTOR,
}


def unit_of(datatype: MPI.Datatype) -> np.dtype:
    """The one basic type that a datatype consists of; bytes if there are several."""
    basics = _basics(datatype)
    return basics.pop() if len(basics) == 1 else BYTE


def has_gaps(datatype: MPI.Datatype) -> bool:
    """Whether its data are anything but its memory, from the first byte to the last, in order.

    Some exotic ways to spell a datatype without gaps count as having some: they
    are packed, which is always right.
    """
    size, (lower, extent) = datatype.Get_size(), datatype.Get_extent()
    if not size == extent == datatype.Get_true_extent()[1] or lower != 0:
        return True
    if datatype.is_predefined:
        return False
    with _contents(datatype) as (combiner, lengths, displs, parts):
        if combiner == MPI.COMBINER_STRUCT:
            ends = accumulate(n * part.Get_size() for n, part in zip(lengths, parts))
            if displs != [0, *ends][: len(displs)]:
                return True
        elif combiner not in _REPEATS:
            return True
        return any(has_gaps(part) for part in parts)


@dataclass(frozen=True)
class Element:
    """One element of a datatype.

    Attributes
    ----------
    datatype : MPI.Datatype
    unit : numpy.dtype
        What an algorithm counts in.
    units : int
        How many of them an element has.
    extent, lower, upper : int
        Bytes from one element to the next, and from its address to the first byte
        of its data and beyond the last.
    gaps : bool
        Whether it has to be packed.
    """

    datatype: MPI.Datatype
    unit: np.dtype
    units: int
    extent: int
    lower: int
    upper: int
    gaps: bool

    def reach(self, count: int) -> tuple[int, int]:
        """From where to where `count` elements reach, in bytes from their address."""
        last = (count - 1) * self.extent
        return self.lower + min(last, 0), self.upper + max(last, 0)


def element_of(datatype: MPI.Datatype, whole: bool = False) -> Element:
    """What an algorithm has to know of a datatype.

    Parameters
    ----------
    datatype : MPI.Datatype
    whole : bool
        Take whole elements as units, as reductions do.
    """
    size, (_, extent) = datatype.Get_size(), datatype.Get_extent()
    lower, true_extent = datatype.Get_true_extent()
    gaps = size > 0 and has_gaps(datatype)
    unit = unit_of(datatype)
    if whole and size:
        unit = np.dtype((np.void, size))
        if datatype.is_predefined:
            dtype = dtlib.to_numpy_dtype(datatype)
            if dtype.itemsize == extent:
                unit, size, gaps = dtype, extent, False  # a pair takes its padding along
    units = size // unit.itemsize
    return Element(datatype, unit, units, extent, lower, lower + true_extent, gaps)


class Own(MPI.Datatype):
    """A duplicate of a datatype, which its owner may free; frees itself.

    Attributes
    ----------
    token : Token or None
        Of the datatype that it is a duplicate of.
    """

    token: Token | None = None

    @classmethod
    def of(cls, datatype: MPI.Datatype) -> Own:
        own = cls(MPI.Datatype(datatype).Dup())
        own.token = token_of(datatype)
        return own

    def __del__(self) -> None:
        if not MPI.Is_finalized():
            self.free()


class Layout:
    """How data lie in somebody's memory, to pack and unpack them.

    The datatypes may be freed afterwards.

    Parameters
    ----------
    counts, displs : sequence of int
        Elements of each block, and where it starts, in bytes.
    datatypes : sequence of MPI.Datatype
        One per block.
    """

    def __init__(
        self,
        counts: Sequence[int],
        displs: Sequence[int],
        datatypes: Sequence[MPI.Datatype],
    ):
        blocks = MPI.Datatype.Create_struct(counts, displs, datatypes)
        # To mpi4py, memory of one byte holds one element of extent 1.
        self.whole = Own(blocks.Create_resized(0, 1).Commit())
        self._pack, self._unpack = self.whole.Pack, self.whole.Unpack
        blocks.Free()

    def pack(self, memory: MPI.buffer, packed: np.ndarray) -> None:
        """From memory, of which one byte is given, to `packed`, block after block."""
        if packed.nbytes > LARGEST:
            _move((memory, 1, self.whole), as_bytes(packed))
        else:
            self._pack(memory, packed, 0, _SELF)

    def unpack(self, packed: np.ndarray, memory: MPI.buffer) -> None:
        """From `packed` to memory; what lies between the data is not touched."""
        if packed.nbytes > LARGEST:
            _move(as_bytes(packed), (memory, 1, self.whole))
        else:
            self._unpack(packed, 0, memory, _SELF)


def as_bytes(view: np.ndarray) -> tuple[MPI.buffer, int, MPI.Datatype]:
    """A message of the bytes of a view: of more than an int can count, as one element.

    MPI 4 has larger counts, but not every MPI has MPI 4.
    """
    memory = MPI.buffer.fromaddress(MPI.Get_address(view), view.nbytes)
    if view.nbytes <= LARGEST:
        return memory, view.nbytes, MPI.BYTE
    return memory, 1, _large(view.nbytes)


@lru_cache(maxsize=64)
def _large(nbytes: int) -> MPI.Datatype:
    wholes, rest = divmod(nbytes, 2**30)
    gibibyte = MPI.BYTE.Create_contiguous(2**30)
    all_ = MPI.Datatype.Create_struct([wholes, rest], [0, wholes * 2**30], [gibibyte, MPI.BYTE])
    gibibyte.Free()
    return Own(all_.Commit())


def _move(source: tuple, target: tuple) -> None:
    """Copy from one layout to another, by a message from this process to itself."""
    _alone().Sendrecv(source, 0, 0, target, 0, 0)


@cache
def _alone() -> MPI.Intracomm:
    return private(_SELF)


def _basics(datatype: MPI.Datatype) -> set[np.dtype]:
    """The basic types that a datatype consists of."""
    size = datatype.Get_size()
    if not size:
        return set()
    if datatype.is_predefined:
        dtype = dtlib.to_numpy_dtype(datatype)
        if dtype.fields:  # a pair, as for MPI.MAXLOC
            return {field for field, *_ in dtype.fields.values()}
        return {dtype if dtype.itemsize == size else BYTE}
    with _contents(datatype) as (_, lengths, _, parts):
        filled = [part for part, length in zip(parts, lengths) if length]
        return set().union(*map(_basics, filled))


@contextmanager
def _contents(datatype: MPI.Datatype) -> Iterator[tuple]:
    """What a derived datatype is made of: combiner, block lengths, displacements, datatypes.

    Lengths and displacements are a struct's; others have one part, of length 1.
    """
    combiner = datatype.combiner
    integers, addresses, large, parts = datatype.Get_contents()
    lengths, displs = [1] * len(parts), addresses
    if combiner == MPI.COMBINER_STRUCT:
        numbers = [*integers, *large]  # MPI-4 may keep all of them as large counts
        lengths = numbers[1 : 1 + len(parts)]
        displs = displs or numbers[1 + len(parts) :]
    try:
        yield combiner, lengths, displs, parts
    finally:
        for part in parts:
            if not part.is_predefined:
                part.Free()
