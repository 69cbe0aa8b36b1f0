"""Memory that is checked byte by byte, twice: ours, and a copy for MPI's own collective."""

from array import array
from collections.abc import Callable
from mmap import mmap
from typing import Any

import numpy as np
from mpi4py import MPI

MARGIN = 64  # bytes on either side of a buffer that nobody may touch
SLAB = 1 << 16

# What has memory besides arrays; it begins at a multiple of 16 bytes.
OBJECTS: dict[str, Callable[[int], Any]] = {
    "bytearray": bytearray,
    "array": lambda nbytes: array("B", bytes(nbytes)),
    "mmap": lambda nbytes: mmap(-1, nbytes),
    "part of a memoryview": lambda nbytes: memoryview(bytearray(nbytes + 32))[16:-16],
}
CODES = "bBhHiIlLqQfd?"  # of elements that a memoryview may have


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
        self.object = OBJECTS[kind](nbytes) if kind else None
        self.margin = 0 if kind else MARGIN
        total = nbytes + 2 * self.margin
        if self.object is not None:
            self.ours = np.frombuffer(self.object, np.uint8)
        else:
            self.ours = np.empty(total, np.uint8) if slabs is None else slabs.take(total)
        self.theirs = np.empty(total, np.uint8)
        self.ours[:] = np.arange(total) * 37 + 11

    def body(self) -> np.ndarray:
        return self.inside(self.ours)

    def inside(self, raw: np.ndarray) -> np.ndarray:
        """A buffer without its margins."""
        return raw[self.margin : raw.size - self.margin]

    def given(self, argument: Any, datatype: MPI.Datatype) -> Any:
        """An argument with the object in place of the array."""
        if self.object is None:
            return argument
        if not isinstance(argument, np.ndarray):
            return type(argument)([self.object, *argument[1:]])
        if argument.dtype.char not in CODES:
            return self.object, datatype
        return memoryview(self.object).cast("B").cast(argument.dtype.char)

    def copy(self) -> None:
        self.theirs[:] = self.ours
