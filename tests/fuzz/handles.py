"""How many communicators, datatypes and requests of MPI are in use, found out from outside.

MPI does not tell. But handles come from tables that are filled from the lowest free
place on: make so many that no place is left free, and the highest one tells how
many there were before. MPICH also runs out of communicators, after about 2000, so
there they can be counted by making them until that happens.
"""

from collections.abc import Callable
from typing import Any

from mpi4py import MPI

MANY = 6000  # more than are ever in use together
_MOST = 1 << 16  # communicators, if MPI has room for them


def in_use() -> dict[str, int]:
    """Handles in use; only their difference from one time to another means something."""
    return {"communicators": _communicators(), "datatypes": _datatypes(), "requests": _requests()}


def _communicators() -> int:
    """Communicators of this process, by how many more there can be."""
    if MPI.get_vendor()[0] != "MPICH":
        return _highest(MPI.COMM_SELF.Dup, 300)
    made: list[MPI.Intracomm] = []
    try:
        while len(made) < _MOST:
            made.append(MPI.COMM_SELF.Dup())
    except MPI.Exception:
        pass
    for comm in made:
        comm.Free()
    return _MOST - len(made)


def _datatypes() -> int:
    return _highest(MPI.INT.Dup, MANY)


def _requests() -> int:
    memory = bytearray(1)
    return _highest(lambda: MPI.COMM_SELF.Send_init(memory, 0), MANY)


def _highest(make: Callable[[], Any], many: int) -> int:
    made = [make() for _ in range(many)]
    highest = max(_place(each.py2f()) for each in made)
    for each in made:
        each.Free()
    return highest + 1 - many


def _place(handle: int) -> int:
    """The place in its table; MPICH numbers blocks of 1024."""
    if MPI.get_vendor()[0] != "MPICH":
        return handle
    directly = handle >> 30 & 3 != 3
    return handle & 0xFFF if directly else (handle >> 12 & 0x3FFF) * 1024 + (handle & 0xFFF)
