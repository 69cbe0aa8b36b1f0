"""Read buffers as mpi4py spells them, and say clearly what is wrong with one.

A buffer is a numpy array or another object with memory; or a list ``[data,
count, displacement, datatype]`` of which all but the data may be left out; or,
with one block per rank, ``[data, counts, displacements, datatype]`` or ``[data,
(counts, displacements), datatype]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
from mpi4py import MPI
from mpi4py.util import dtlib

from collectives.algorithms.blocks import Blocks, partition
from collectives.errors import BufferMismatch


@dataclass(frozen=True)
class Vector:
    """A buffer that has been read.

    Attributes
    ----------
    view : numpy.ndarray
        Its elements, one-dimensional. Made from the address, so it does not
        keep the user's memory alive.
    datatype : MPI.Datatype
        The MPI type of an element.
    counts, displs : list of int or None
        Block lengths and where the blocks start, if given.
    """

    view: np.ndarray
    datatype: MPI.Datatype
    counts: list[int] | None = None
    displs: list[int] | None = None

    @property
    def writable(self) -> bool:
        return self.view.flags.writeable or not self.view.size

    def blocks(self, counts: Sequence[int]) -> Blocks:
        """The vector as blocks of `counts` elements, at its displacements."""
        if self.displs is None:
            return partition(self.view, counts)
        stops = [d + c for d, c in zip(self.displs, counts, strict=True)]
        return Blocks(self.view, self.displs, stops)


def read(title: str, name: str, buf: Any, p: int | None = None, blocks: int = 1) -> Vector:
    """Read one buffer.

    Parameters
    ----------
    title, name : str
        Of the collective and the argument, for messages.
    buf : buffer
        Anything described at the top of this file.
    p : int, optional
        Number of blocks, if the buffer may give one count per rank.
    blocks : int
        Number of blocks that a single count is the length of.

    Raises
    ------
    BufferMismatch
        The object has no memory, is not contiguous, has a dtype that MPI cannot
        carry, or is too short for its counts.
    """
    fail = _failing(title, name)
    data, layout, datatype = _spell_out(buf, fail)
    array = _memory(data, fail)
    if datatype is None:
        dtype, datatype = array.dtype, datatype_of(array.dtype)
    else:
        dtype = _element(datatype, fail)
    address, nbytes = MPI.Get_address(array), array.nbytes
    if nbytes % dtype.itemsize:
        raise fail(f"a whole number of {dtype.itemsize}-byte elements", f"{nbytes} bytes")
    view = array_at(address, nbytes, dtype, not array.flags.writeable)
    counts, displs = (
        None if column is None else _integers(column, p, fail)
        for column in (layout + [None, None])[:2]
    )
    if p is None:
        start = displs[0] if displs else 0
        stop = start + counts[0] * blocks if counts else view.size
        _check_range([start], [stop - start], view.size, fail)
        return Vector(view[start:stop], datatype)
    if counts is not None:
        starts = displs if displs is not None else list(accumulate(counts[:-1], initial=0))
        _check_range(starts, counts, view.size, fail)
    return Vector(view, datatype, counts, displs)


def integers(title: str, name: str, values: Any, p: int) -> list[int]:
    """Read p counts that are an argument of their own."""
    fail = _failing(title, name)
    counts = _integers(values, p, fail)
    if min(counts) < 0:
        raise fail("counts from 0 on", counts)
    return counts


def array_at(address: int, nbytes: int, dtype: np.dtype, readonly: bool = False) -> np.ndarray:
    """An array over memory that somebody else keeps alive."""
    if not nbytes:
        return np.empty(0, dtype)
    memory: Any = MPI.buffer.fromaddress(address, nbytes, readonly)
    return np.frombuffer(memory, dtype)


@cache
def datatype_of(dtype: np.dtype) -> MPI.Datatype:
    """The MPI type of a numpy dtype; plain bytes where MPI has no such type."""
    try:
        datatype = MPI.Datatype.fromcode(dtype.char)
        if datatype.Get_size() == dtype.itemsize:
            return datatype
    except ValueError:
        pass
    return _bytes(dtype.itemsize)


@cache
def _bytes(size: int) -> MPI.Datatype:
    return MPI.BYTE.Create_contiguous(size).Commit()


def _failing(title: str, name: str) -> Callable[..., BufferMismatch]:
    """What makes the errors about one argument."""

    def fail(needed: str, got: Any, todo: str = "") -> BufferMismatch:
        return BufferMismatch(f"{title}: {name} needs {needed}, got {got}{todo and '; ' + todo}")

    return fail


def _spell_out(buf, fail) -> tuple[Any, list, MPI.Datatype | None]:
    """Split a buffer into its data, what says where it lies, and its datatype."""
    if buf is MPI.BOTTOM or buf is None or isinstance(buf, MPI.InPlaceType):
        raise fail("a buffer", repr(buf))
    if not isinstance(buf, (list, tuple)):
        return buf, [], None
    data, *layout = buf or [None]
    datatype = None
    if layout and isinstance(layout[-1], (MPI.Datatype, str)):
        datatype = layout.pop()
        if isinstance(datatype, str):
            try:
                datatype = MPI.Datatype.fromcode(datatype)
            except ValueError as error:
                raise fail("a datatype or its code, such as 'd'", repr(datatype)) from error
    if len(layout) == 1 and isinstance(layout[0], tuple):
        layout = list(layout[0])
    if data is None and (layout or datatype is not None):
        data = np.empty(0, np.uint8)  # any count but 0 is too much for it
    if len(layout) > 2 or isinstance(data, (list, tuple, int, float, str, type(None))):
        raise fail("[data, counts, displacements, datatype]", repr(buf)[:80])
    return data, layout, datatype


def _memory(data, fail) -> np.ndarray:
    """The memory of an object as an array."""
    if not isinstance(data, np.ndarray):
        try:
            data = np.asarray(memoryview(data))
        except (TypeError, ValueError, BufferError) as error:
            raise fail("an object with memory, such as a numpy array", type(data)) from error
    if not (data.flags.c_contiguous or data.flags.f_contiguous):
        todo = "pass a contiguous copy"
        raise fail("contiguous memory", f"an array with strides {data.strides}", todo)
    if data.dtype.hasobject or not data.dtype.isnative or data.dtype.itemsize == 0:
        raise fail("numbers in native byte order", f"dtype {data.dtype!r}")
    return data


def _element(datatype: MPI.Datatype, fail) -> np.dtype:
    """The numpy dtype of one element; opaque bytes for a derived datatype."""
    if datatype == MPI.DATATYPE_NULL:
        raise fail("a datatype", "MPI.DATATYPE_NULL")
    lower, extent = datatype.Get_extent()
    if datatype.is_predefined:
        dtype = dtlib.to_numpy_dtype(datatype)
        if dtype.itemsize == extent:
            return dtype
    if (
        lower != 0
        or extent == 0
        or datatype.Get_size() != extent
        or datatype.Get_true_extent() != (0, extent)
    ):
        raise fail(
            "a datatype without gaps",
            f"one of {datatype.Get_size()} bytes in an extent of {extent}",
        )
    return np.dtype((np.void, extent))


def _integers(column: Any, p: int | None, fail) -> list[int]:
    """Counts or displacements: a list of p integers, or of one without p."""
    try:
        values = np.asarray(column)
    except ValueError:  # ragged
        values = np.asarray(None)
    if values.ndim > 1 or (values.dtype.kind not in "biu" and values.size):
        raise fail("integers as counts and displacements", repr(column)[:80])
    if values.ndim == 0 and p is not None:
        raise fail(f"one count per rank ({p})", repr(column)[:80])
    if values.size != (p or 1):
        raise fail(f"{p or 1} counts and displacements", values.size)
    return [int(number) for number in np.atleast_1d(values).tolist()]  # they cannot overflow


def _check_range(starts: list[int], counts: list[int], size: int, fail) -> None:
    for block, (start, count) in enumerate(zip(starts, counts, strict=True)):
        where = f"block {block} ({count} from displacement {start} on)"
        if start < 0 or count < 0:
            raise fail("counts and displacements from 0 on", where)
        if count and start + count > size:
            raise fail(f"{start + count} elements for {where}", f"{size}")
