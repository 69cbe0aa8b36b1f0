"""Where the memory of a buffer lies, and what holds it there while a call uses it.

An array holds its memory as long as somebody has the array. Other objects may let it go, as a
bytearray does that is cleared, unless somebody has an export of it. So a call exports each
such object, once, and the export stands for the object in all that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI

from collectives.errors import MemoryMismatch, SpellingMismatch, UnknownDatatype
from collectives.mpi.data.datatypes import BYTE
from collectives.mpi.data.dlpack import dtype_in
from collectives.mpi.data.gpu import Gpu
from collectives.operators.dtypes import dtype_called

_buffer: Any = MPI.buffer.frombuffer

Fail = Callable[..., Exception]  # makes the error about one argument


class Memory(NamedTuple):
    """The memory of an object.

    Attributes
    ----------
    address, nbytes : int
    readonly : bool
    dtype : numpy.dtype
    before, beyond : int
        How far elements with gaps may reach: to the ends of the array that it is a part of.
    origin : int
        Bytes from the address to where displacements count from.
    bare : bool
        Whether it is an address whose length nobody vouches for.
    gpu : Gpu or None
        Where it is, if that is out of the CPU's reach.
    """

    address: int
    nbytes: int
    readonly: bool
    dtype: np.dtype
    before: int = 0
    beyond: int = 0
    origin: int = 0
    bare: bool = False
    gpu: Gpu | None = None

    @property
    def absolute(self) -> bool:
        """Whether displacements are addresses."""
        return bool(self.origin)


# Displacements from MPI.BOTTOM are addresses. mpi4py takes no null pointer as memory, so
# whatever lies there is said to lie one byte before the next one.
BOTTOM = Memory(1, 0, False, BYTE, origin=-1, bare=True)


class Foreign:
    """The memory of an object that has no buffer protocol, exported: by DLPack or as CUDA's.

    It exports the object in its place, so that this is exported once however often it is asked.

    Parameters
    ----------
    data : object

    Raises
    ------
    Exception
        Whatever its export does.
    """

    def __init__(self, data: Any):
        self.data = data
        self._capsule: Any = None
        self._device: Any = None
        exporter = self if hasattr(data, "__dlpack__") else data
        try:
            memory = _buffer(exporter)
            self.readonly = False
        except BufferError:
            memory = _buffer(exporter, True)
            self.readonly = True
        self.address, self.nbytes, self._memory = memory.address, memory.nbytes, memory

    def __dlpack_device__(self) -> Any:
        self._device = device = self.data.__dlpack_device__()
        return device

    def __dlpack__(self, **options: Any) -> Any:
        if self._capsule is None:
            self._capsule = self.data.__dlpack__(**options)
        return self._capsule

    @property
    def facts(self) -> tuple:
        """All but where it lies."""
        dtype = getattr(self.data, "dtype", None)
        if dtype is None:
            dtype = self.dtype
        return type(self.data), self.nbytes, dtype, self.readonly, self._device

    @cached_property
    def dtype(self) -> np.dtype:
        """That of its elements; no number if neither numpy nor ml_dtypes has such a type."""
        if self._capsule is not None:
            return dtype_in(self._capsule)
        with suppress(TypeError):
            dtype = np.dtype(self.data.__cuda_array_interface__["typestr"])
            if dtype.kind in "biufcmM":
                return dtype
        return _dtype_like(getattr(self.data, "dtype", None), self.nbytes)

    def memory(self) -> Memory:
        """Where it is.

        Raises
        ------
        BufferError
            That is out of reach.
        """
        gpu = Gpu.of(self.data)
        if gpu is None and self._capsule is not None:
            _ = self._memory[:0]  # only what the CPU can read has parts
        return Memory(self.address, self.nbytes, self.readonly, self.dtype, gpu=gpu)


def _dtype_like(theirs: Any, nbytes: int) -> np.dtype:
    """The dtype for one of another library's that numpy does not know.

    Without ml_dtypes it is no number: its elements can be moved, and not reduced.
    """
    name = getattr(theirs, "name", None) or str(theirs).rpartition(".")[2]
    dtype = dtype_called(name)
    size = getattr(theirs, "itemsize", dtype.itemsize if dtype else 1)
    if dtype is None or dtype.itemsize != size:
        dtype = np.dtype((np.void, 1 if nbytes % size else size))
    return dtype


@dataclass
class Refused:
    """An object that could not be exported, which matters if it is read."""

    data: object
    error: Exception


# What stands for an object whose memory only its export tells.
EXPORTS = Foreign, Refused


def export(data: Any) -> Any:
    """What holds the memory of an object that is no array, where it is."""
    try:
        return hold(data, memoryview(data))
    except TypeError:
        return foreign(data)
    except Exception as error:
        return Refused(data, error)


def foreign(data: Any) -> Foreign | Refused:
    """The export of an object that has no buffer protocol, or of what stands for one."""
    if isinstance(data, EXPORTS):
        return data
    try:
        return Foreign(data)
    except Exception as error:
        return Refused(data, error)


def hold(data: Any, view: memoryview) -> Any:
    """What holds the memory of an object that has a view.

    A view of a memoryview would not keep it from being released, as mpi4py's buffer does. But
    just that is all that the buffer is used for: memoryviews of what others have exported crash
    in CPython's garbage collection.
    """
    if type(data) is not memoryview:
        return view
    try:
        return _buffer(data, True)
    except BufferError:
        return view  # of Fortran's layout, for which it has no buffer


def is_bare(data: Any) -> bool:
    """Whether it is but an address, as MPI.buffer.fromaddress makes it."""
    if type(data) is not MPI.buffer:
        return False
    owner: Any = data
    while type(owner) is MPI.buffer:
        owner = owner.obj
    return owner is None


def is_constant(data: Any) -> bool:
    """Whether a buffer is one of the objects that stand for memory."""
    return data is None or data is MPI.BOTTOM or isinstance(data, MPI.InPlaceType)


def held(buffers: Sequence[Any], exported: list) -> tuple:
    """The buffers of a call, some objects replaced by what their export told.

    Parameters
    ----------
    buffers : sequence
    exported : list
        What holds their memory, as far as that is known; the rest is added.
    """
    return tuple([_held(buf, exported) for buf in buffers])


def _held(buf: Any, exported: list) -> Any:
    data, *layout = buf if isinstance(buf, (list, tuple)) and len(buf) > 1 else (buf,)
    if not (isinstance(data, (np.ndarray, list, tuple)) or is_constant(data)):
        known = (x for x in exported if isinstance(x, EXPORTS) and x.data is data)
        holder = next(known, None) or export(data)
        exported.append(holder)
        if isinstance(holder, EXPORTS):
            data = holder
    return [data, *layout] if layout else data


def let_go(exported: list) -> None:
    """Release what was exported for a call that failed: its traceback would hold it."""
    for each in exported:
        if isinstance(each, (memoryview, MPI.buffer)):
            each.release()


def memory_of(data: Any, writes: bool, typed: bool, fail: Fail) -> Memory:
    """The memory of a buffer; its dtype counts if it is `typed`."""
    if data is MPI.BOTTOM:
        return BOTTOM
    array = data if isinstance(data, np.ndarray) else _array(data, fail)
    if array is None:
        memory = _foreign_memory(export(data), fail)
    else:
        memory = _own_memory(array, is_bare(data), fail)
    dtype = memory.dtype
    if dtype.hasobject or (typed and not dtype.isnative):
        error = UnknownDatatype if dtype.hasobject else MemoryMismatch
        needed = "numbers in native byte order"
        raise fail(needed, f"dtype {dtype!r}", error=error, mpi_class="ERR_TYPE")
    if typed and not dtype.itemsize:
        raise fail("elements with a size", f"dtype {dtype!r}", error=UnknownDatatype)
    if writes and memory.readonly:
        raise fail("writable memory", "a read-only buffer", error=MemoryMismatch)
    return memory


def _foreign_memory(exported: Any, fail: Fail) -> Memory:
    kind, error = type(exported.data), getattr(exported, "error", None)
    if error is None:
        try:
            return exported.memory()
        except BufferError as unreachable:
            error = unreachable
    if isinstance(error, (TypeError, AttributeError)):
        needed = "an object with memory, such as a numpy array"
        raise fail(needed, kind, error=SpellingMismatch) from error
    needed = "contiguous memory that can be read and, if it receives, written"
    raise fail(needed, f"{kind} ({error})", "pass a copy", MemoryMismatch) from error


def _own_memory(array: np.ndarray, bare: bool, fail: Fail) -> Memory:
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        got = f"an array with strides {array.strides}"
        raise fail("contiguous memory", got, "pass a contiguous copy", MemoryMismatch)
    facts = MPI.Get_address(array), array.nbytes, not array.flags.writeable, array.dtype
    return Memory(*facts, *around(array), bare=bare)


def around(array: np.ndarray) -> tuple[int, int]:
    """Bytes before and beyond an array, in the one that it is a part of."""
    owner = array
    while isinstance(owner.base, np.ndarray) and owner.base.flags.forc:
        owner = owner.base
    before = MPI.Get_address(array) - MPI.Get_address(owner)
    return before, owner.nbytes - before - array.nbytes


def _array(data: Any, fail: Fail) -> np.ndarray | None:
    """The array over an object with Python's buffer protocol; None if it has none."""
    try:
        view = memoryview(data)
    except TypeError:
        return None
    except (ValueError, BufferError) as error:
        raise fail("memory that can be read", type(data), error=MemoryMismatch) from error
    try:
        return np.asarray(view)
    except (TypeError, ValueError) as error:
        needed = "numbers in native byte order"
        raise fail(needed, f"format {view.format!r}", error=UnknownDatatype) from error
