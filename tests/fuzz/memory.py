"""Memory that is checked byte by byte, twice: ours, and a copy for MPI's own collective."""

import numpy as np

MARGIN = 64  # bytes on either side of a buffer that nobody may touch
SLAB = 1 << 16


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
    """One buffer, with margins.

    Attributes
    ----------
    ours, theirs : numpy.ndarray
        All its bytes, as our collective and as MPI's has them.
    """

    def __init__(self, nbytes: int, slabs: Slabs | None):
        total = nbytes + 2 * MARGIN
        self.ours = np.empty(total, np.uint8) if slabs is None else slabs.take(total)
        self.theirs = np.empty(total, np.uint8)
        self.ours[:] = np.arange(total) * 37 + 11

    def body(self) -> np.ndarray:
        return inside(self.ours)

    def copy(self) -> None:
        self.theirs[:] = self.ours


def inside(memory: np.ndarray) -> np.ndarray:
    """A buffer without its margins."""
    return memory[MARGIN : memory.size - MARGIN]
