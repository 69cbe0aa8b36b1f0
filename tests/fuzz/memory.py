"""Memory that is checked byte by byte, twice: ours, and a copy for MPI's own collective."""

import ctypes
from array import array
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI

MARGIN = 64  # bytes on either side of a buffer that nobody may touch
SLAB = 1 << 16
CODES = "bBhHiIlLqQfd?"  # of elements that what follows may have
BYTE = np.dtype("u1")


class Exporter:
    """What numpy knows of an array, said in one protocol only."""

    def __init__(self, array: np.ndarray):
        self.array = array


class DLPack(Exporter):
    """Has `__dlpack__` and nothing else."""

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class CudaArray(Exporter):
    """Has `__cuda_array_interface__` and nothing else; the memory is the host's."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        described = self.array.__array_interface__
        return {key: described[key] for key in ("data", "shape", "typestr", "version")}


class Kind(NamedTuple):
    """What has memory besides arrays of numpy.

    Attributes
    ----------
    make : callable
        Memory of so many bytes, with the buffer protocol; it begins at a multiple of 16.
    spell : callable
        An argument: this memory as elements of this type, one of `CODES`.
    """

    make: Callable[[int], Any]
    spell: Callable[[Any, np.dtype], Any]


def _itself(memory: Any, dtype: np.dtype) -> Any:
    return memory if dtype == BYTE else memoryview(memory).cast("B").cast(dtype.char)


def _ctypes(memory: Any, dtype: np.dtype) -> Any:
    length = memoryview(memory).nbytes // dtype.itemsize
    return (np.ctypeslib.as_ctypes_type(dtype) * length).from_buffer(memory)


def _tensor(memory: Any, dtype: np.dtype) -> Any:
    import torch

    return torch.from_numpy(np.frombuffer(memory, dtype))


KINDS = {
    "bytearray": Kind(bytearray, _itself),
    "array": Kind(lambda nbytes: array("B", bytes(nbytes)), _itself),
    "mmap": Kind(lambda nbytes: mmap(-1, nbytes), _itself),
    "part of a memoryview": Kind(
        lambda nbytes: memoryview(bytearray(nbytes + 32))[16:-16], _itself
    ),
    "MPI.buffer": Kind(lambda nbytes: MPI.buffer.allocate(nbytes), _itself),
    "ctypes": Kind(lambda nbytes: (ctypes.c_ubyte * nbytes)(), _ctypes),
    "DLPack": Kind(bytearray, lambda memory, dtype: DLPack(np.frombuffer(memory, dtype))),
    "CUDA array": Kind(bytearray, lambda memory, dtype: CudaArray(np.frombuffer(memory, dtype))),
}
if find_spec("torch"):
    KINDS["tensor"] = Kind(bytearray, _tensor)

# MPI.BOTTOM, with the address in the datatype; `calls` spells it.
BOTTOM = "MPI.BOTTOM"

USED: Counter[str] = Counter()  # kinds, on this rank


class Slabs:
    """Memory that is used again and again: the same addresses with other contents."""

    def __init__(self) -> None:
        self._slabs: list[np.ndarray] = []
        self._taken = 0

    def take(self, nbytes: int) -> np.ndarray:
        """Memory that nobody else has until `give_all`."""
        if nbytes > SLAB:
            return np.empty(nbytes, np.uint8)
        if self._taken == len(self._slabs):
            self._slabs.append(np.empty(SLAB, np.uint8))
        self._taken += 1
        return self._slabs[self._taken - 1][:nbytes]

    def give_all(self) -> None:
        self._taken = 0


class Memory:
    """One buffer, with margins unless it is an object of its own.

    Attributes
    ----------
    ours, theirs : numpy.ndarray
        All its bytes, as our collective and as MPI's has them.
    margin : int
    """

    def __init__(self, nbytes: int, slabs: Slabs | None, kind: str | None):
        self.kind = KINDS.get(kind or "")
        self.object = self.kind.make(nbytes) if self.kind else None
        self.margin = 0 if self.kind else MARGIN
        total = nbytes + 2 * self.margin
        if self.object is not None:
            self.ours = np.frombuffer(self.object, np.uint8)
        else:
            self.ours = np.empty(total, np.uint8) if slabs is None else slabs.take(total)
        self.theirs = np.empty(total, np.uint8)
        self.ours[:] = np.arange(total) * 37 + 11
        USED[kind or "numpy"] += 1

    def body(self) -> np.ndarray:
        return self.inside(self.ours)

    def inside(self, raw: np.ndarray) -> np.ndarray:
        """A buffer without its margins."""
        return raw[self.margin : raw.size - self.margin]

    def given(self, argument: Any, datatype: MPI.Datatype) -> Any:
        """An argument with the object in place of the array."""
        if self.kind is None:
            return argument
        if not isinstance(argument, np.ndarray):
            return type(argument)([self.kind.spell(self.object, BYTE), *argument[1:]])
        if argument.dtype.char not in CODES:
            return self.kind.spell(self.object, BYTE), datatype
        return self.kind.spell(self.object, argument.dtype)

    def copy(self) -> None:
        self.theirs[:] = self.ours
