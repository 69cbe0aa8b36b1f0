"""Read buffers as mpi4py spells them, and say clearly what is wrong with one.

A buffer is an object with memory: a numpy array or another one with Python's
buffer protocol, with DLPack's, or with `__cuda_array_interface__`. Or it is a list or
tuple of two to four items,

::

    [data, count]                           [data, datatype]
    [data, (count, displacement)]           [data, count, datatype]
    [data, (count, displacement), datatype]
    [data, count, displacement, datatype]

where the datatype may be its code, such as "d". Without a datatype the data tell
it; without a count there are as many elements as the memory holds. Displacements
are in elements. Where a buffer has one block per rank, the count is that of a
block; in the v-variants there may be a count and a displacement for each rank,
equal counts are given as one, and one displacement is the distance from block to
block. With MPI.BOTTOM as data, the datatype holds addresses.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
from mpi4py import MPI

import collectives.mpi.data.errors  # noqa: F401, makes our errors MPI's, too
from collectives.algorithms.language.blocks import Blocks, even_counts, partition
from collectives.engines.packing import array_at
from collectives.errors import BufferMismatch, SpellingMismatch, UnknownDatatype
from collectives.mpi.data.datatypes import BYTE, LARGEST, Element, Layout, element_of
from collectives.mpi.data.memory import Memory, memory_of
from collectives.mpi.data.staging import Chained, Copied, Fetched, Packed, Staging
from collectives.operators.dtypes import is_builtin


@dataclass(frozen=True)
class Vector:
    """A buffer that has been read.

    Attributes
    ----------
    view : numpy.ndarray
        Its units, one-dimensional: where the user has them, or in memory of the library's
        own if it is staged. Does not keep the user's memory alive.
    element : Element
        What its elements are made of.
    memory : Memory
        The user's.
    span : tuple of int
        Where its data begin and end in that memory, in bytes from its address; without gaps.
    counts, displs : list of int or None
        Block lengths and where the blocks start in `view`, in units, if given.
    staging : Staging or None
        What copies between the user's memory and the view.
    """

    view: np.ndarray
    element: Element
    memory: Memory
    span: tuple[int, int] = (0, 0)
    counts: list[int] | None = None
    displs: list[int] | None = None
    staging: Staging | None = None

    @property
    def writable(self) -> bool:
        return self.view.flags.writeable or not self.view.size

    def blocks(self, counts: Sequence[int]) -> Blocks:
        """The vector as blocks of `counts` units, at its displacements."""
        if self.displs is None:
            return partition(self.view, counts)
        stops = [d + c for d, c in zip(self.displs, counts, strict=True)]
        return Blocks(self.view, self.displs, stops)


def read(
    title: str,
    name: str,
    buf: Any,
    blocks: int = 1,
    *,
    vary: bool = False,
    writes: bool = False,
    whole: bool = False,
    stage: int = 0,
) -> Vector:
    """Read one buffer.

    Parameters
    ----------
    title, name : str
        Of the collective and the argument, for messages.
    buf : buffer
        Anything described at the top of this file.
    blocks : int
        Number of blocks that the buffer has.
    vary : bool
        Whether each may have a count and a displacement of its own.
    writes : bool
        Whether the memory has to be writable.
    whole : bool
        Take whole elements as units, as reductions do.
    stage : int
        Up to so many bytes the vector is copied, even if it has no gaps.

    Raises
    ------
    BufferMismatch
        The object has no memory, is not contiguous, is read-only, has a dtype that
        MPI cannot carry, or is too short for its counts.
    """
    fail = failing(title, name)
    data, count, displ, datatype = _spell_out(buf, vary, fail)
    memory = memory_of(data, writes, datatype is None, fail)
    if datatype is None:
        element = _element_of_dtype(memory.dtype)
    elif datatype == MPI.DATATYPE_NULL:
        raise fail("a datatype", "MPI.DATATYPE_NULL", error=UnknownDatatype)
    elif whole and datatype.Get_size() > LARGEST:
        needed, todo = (
            f"elements of up to {LARGEST} bytes in a reduction",
            "use more of fewer bytes",
        )
        raise fail(needed, datatype.Get_size(), todo, mpi_class="ERR_TYPE")
    else:
        element = element_of(datatype, whole)
    layout = _columns if vary else _column
    counts, displs = layout(count, displ, blocks, memory.nbytes, element, fail)
    _check_range(counts, displs, element, memory, count is not None, fail)
    if element.gaps or memory.absolute:
        return _packed(memory, counts, displs, element, vary)
    if not vary:
        return _contiguous(memory, element, displs[0], displs[0] + counts[0], stage)
    units = element.units
    end = max((d + n for d, n in zip(displs, counts) if n), default=0)
    lengths, starts = [units * n for n in counts], [units * d for d in displs]
    return replace(
        _contiguous(memory, element, 0, end, stage),
        counts=lengths,
        displs=[start if n else 0 for start, n in zip(starts, lengths)],
    )


def integers(title: str, name: str, values: Any, p: int, least: int | None = 0) -> list[int]:
    """Read p counts, or displacements, that are an argument of their own."""
    fail = failing(title, name)
    numbers = _integers(values, p, fail)
    if least is not None and min(numbers) < least:
        raise fail(f"counts from {least} on", numbers, mpi_class="ERR_COUNT")
    return numbers


@cache
def datatype_of(dtype: np.dtype) -> MPI.Datatype:
    """The MPI type of a numpy dtype; plain bytes where MPI has no such type."""
    if is_builtin(dtype) and dtype.kind in "biufc":
        with suppress(ValueError):
            datatype = MPI.Datatype.fromcode(dtype.char)
            if datatype.Get_size() == dtype.itemsize:
                return datatype
    return _bytes(dtype.itemsize)


@cache
def _bytes(size: int) -> MPI.Datatype:
    return MPI.BYTE.Create_contiguous(size).Commit()


@cache
def _element_of_dtype(dtype: np.dtype) -> Element:
    size = dtype.itemsize
    return Element(datatype_of(dtype), dtype, 1, size, 0, size, False)


def failing(title: str, name: str) -> Callable[..., BufferMismatch]:
    """What makes the errors about one argument."""

    def fail(
        needed: str,
        got: Any,
        todo: str = "",
        error: type[BufferMismatch] = BufferMismatch,
        mpi_class: str | None = None,
    ) -> BufferMismatch:
        todo = todo and f"; {todo}"
        return error(f"{title}: {name} needs {needed}, got {got}{todo}", mpi_class)

    return fail


def is_in_place(buf: Any) -> bool:
    """Whether a buffer stands for the other one: MPI.IN_PLACE or, as in mpi4py, None."""
    return buf is None or isinstance(buf, MPI.InPlaceType)


# What a buffer says


def _spell_out(buf: Any, vary: bool, fail) -> tuple[Any, Any, Any, MPI.Datatype | None]:
    """Data, counts, displacements and datatype, as far as they are given."""
    if buf is None or isinstance(buf, MPI.InPlaceType):
        raise fail("a buffer", repr(buf), error=SpellingMismatch)
    if buf is MPI.BOTTOM:
        raise fail("a datatype beside it", repr(buf), error=UnknownDatatype)
    if not isinstance(buf, (list, tuple)):
        return buf, None, None, None
    if not 2 <= len(buf) <= 4:
        raise fail("[data, counts, displacements, datatype]", repr(buf)[:80])
    data, *layout = buf
    datatype = None
    if len(layout) > 1 or isinstance(layout[0], (MPI.Datatype, str)):
        datatype = layout.pop()
    if len(layout) == 1 and isinstance(layout[0], tuple if vary else (tuple, list)):
        layout = list(layout[0])
        if len(layout) != 2:
            raise fail("(counts, displacements)", repr(tuple(layout))[:80])
    count, displ = (*layout, None, None)[:2]
    if datatype is not None and not isinstance(datatype, MPI.Datatype):
        datatype = _datatype_of_code(datatype, fail)
    if data is None or data is MPI.BOTTOM:
        if datatype is None:
            raise fail("a datatype where there are no data", repr(buf), error=UnknownDatatype)
        if data is None and not vary and count is not None and _integer(count, fail) > 0:
            raise fail("data, or a count of 0", f"None and a count of {count}")
        data = MPI.BOTTOM  # as in mpi4py
    return data, count, displ, datatype


def _datatype_of_code(code: Any, fail) -> MPI.Datatype:
    try:
        return MPI.Datatype.fromcode(code)
    except (TypeError, ValueError) as error:
        needed = "a datatype or its code, such as 'd'"
        raise fail(needed, repr(code), error=UnknownDatatype) from error


def _integer(value: Any, fail) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        needed = "integers as counts and displacements"
        raise fail(needed, repr(value)[:80], error=SpellingMismatch) from error


def _integers(column: Any, p: int, fail) -> list[int]:
    """One integer for each rank."""
    try:
        values = list(column)
    except TypeError as error:
        needed = f"one count per rank ({p})"
        raise fail(needed, repr(column)[:80], error=SpellingMismatch) from error
    if len(values) != p:
        needed = f"{p} counts and displacements"
        raise fail(needed, len(values), mpi_class="ERR_COUNT")
    return [_integer(value, fail) for value in values]


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not np.ndim(value)


def _column(count, displ, blocks: int, nbytes: int, element: Element, fail) -> tuple[list, list]:
    """One count and displacement; the count is that of each block."""
    start = 0 if displ is None else _integer(displ, fail)
    if start and element.extent <= 0:
        raise fail("a positive extent for a displacement", element.extent, mpi_class="ERR_TYPE")
    if start * element.extent > nbytes:
        needed = f"{start} elements before its own"
        raise fail(needed, nbytes // element.extent, mpi_class="ERR_COUNT")
    if count is not None:
        return [_integer(count, fail) * blocks], [start]
    n = _fitting(nbytes - start * element.extent, element, fail)
    if n % blocks:
        raise fail(f"a multiple of {blocks} elements", n, mpi_class="ERR_COUNT")
    return [n], [start]


def _columns(count, displ, blocks: int, nbytes: int, element: Element, fail) -> tuple[list, list]:
    """A count and a displacement for each block."""
    if count is None:
        counts = list(even_counts(_fitting(nbytes, element, fail), blocks))
    elif _is_integer(count):
        counts = [_integer(count, fail)] * blocks
    else:
        counts = _integers(count, blocks, fail)
    if displ is None:
        return counts, list(accumulate(counts[:-1], initial=0))
    if _is_integer(displ):
        return counts, [_integer(displ, fail) * block for block in range(blocks)]
    return counts, _integers(displ, blocks, fail)


def _fitting(nbytes: int, element: Element, fail) -> int:
    """How many elements a memory of `nbytes` holds."""
    extent = element.extent
    if nbytes <= 0:
        return 0
    if extent <= 0:
        raise fail("a count", f"a datatype with an extent of {extent}", mpi_class="ERR_COUNT")
    if nbytes % extent:
        needed = f"a whole number of {extent}-byte elements"
        raise fail(needed, f"{nbytes} bytes", mpi_class="ERR_COUNT")
    return nbytes // extent


# Where its elements lie


def _check_range(
    counts: list[int],
    displs: list[int],
    element: Element,
    memory: Memory,
    explicit: bool,
    fail,
) -> None:
    """Whether the blocks lie within the memory.

    How many elements there are at a bare address, a caller who gives a count knows alone.
    """
    for block, (count, start) in enumerate(zip(counts, displs, strict=True)):
        where = f"block {block} ({count} from displacement {start} on)"
        if count < 0 or (start < 0 and not memory.absolute):
            raise fail("counts and displacements from 0 on", where, mpi_class="ERR_COUNT")
        if not count or not element.units:
            continue
        low, high = (start * element.extent + reached for reached in element.reach(count))
        if element.gaps or memory.absolute:
            within(memory, low, high, where, fail)
        elif high > memory.nbytes and not (memory.bare and explicit):
            got = memory.nbytes // element.extent
            raise fail(f"{start + count} elements for {where}", got, mpi_class="ERR_TRUNCATE")


def within(memory: Memory, low: int, high: int, where: str, fail) -> None:
    """Check that bytes `low` to `high` are in a memory, or in the array that it is a part of.

    Nobody knows the length of a bare address.
    """
    first, end = -memory.before, memory.nbytes + memory.beyond
    if memory.absolute and low <= 0:
        raise fail(f"absolute addresses for {where}, as from MPI.BOTTOM", low)
    if not memory.bare and (low < first or high > end):
        needed = f"the memory from byte {low} to {high} for {where}"
        raise fail(needed, f"bytes {first} to {end}")


def _contiguous(memory: Memory, element: Element, first: int, last: int, stage: int) -> Vector:
    """Elements without gaps: where they are, or as few as make copying them worth while."""
    width = element.units * element.unit.itemsize
    low, high = first * width, last * width
    size = element.units * (last - first)
    if memory.gpu is not None:
        staging: Staging = Fetched(size, element.unit, low, memory.gpu)
    elif 0 < high - low <= stage:
        staging = Copied(size, element.unit, low)
    else:
        view = array_at(memory.address + low, high - low, element.unit, memory.readonly)
        return Vector(view, element, memory, (low, high))
    return Vector(staging.view, element, memory, (low, high), staging=staging)


def _packed(
    memory: Memory, counts: list[int], displs: list[int], element: Element, vary: bool
) -> Vector:
    """Data with gaps: block after block in memory of the library's own."""
    lengths = [element.units * count for count in counts]
    view = np.empty(sum(lengths), element.unit)
    starts = [start * element.extent for start in displs]
    staging = pack(memory, view, counts, starts, [element.datatype] * len(counts))
    return Vector(view, element, memory, counts=lengths if vary else None, staging=staging)


def pack(
    memory: Memory,
    view: np.ndarray,
    counts: Sequence[int],
    displs: Sequence[int],
    datatypes: Sequence[MPI.Datatype],
) -> Staging | None:
    """What packs blocks, which lie so many bytes from where they count, into a view."""
    if not view.size:
        return None
    starts = [memory.origin + displ for displ in displs]
    packed = Packed(view, Layout(counts, starts, datatypes))
    if memory.gpu is None:
        return packed
    return Chained(Fetched(memory.nbytes, BYTE, 0, memory.gpu), packed)
