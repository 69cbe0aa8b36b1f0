"""How many handles of MPI are in use, found out from outside.

MPI does not tell. But a handle has a place in a table, and the lowest free ones
are given away before the table grows: make more handles than there can be free
places, and the highest place tells how many there were before.

MPICH's communicators run out, after about 2000: there they are counted by making
them until that happens. Open MPI gives datatypes and requests a place only when
somebody asks for it, so there only communicators can be counted. What the library
makes and frees does not depend on which MPI it is: what MPICH shows holds for both.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from mpi4py import MPI

MPICH = MPI.get_vendor()[0] == "MPICH"
MANY = 6000  # more than are ever in use together
_ROOM = 1 << 16  # more communicators than there can be
_times = count(1)


def in_use() -> dict[str, int]:
    """Handles in use; only the difference from one time to another means something."""
    if not MPICH:
        return {"communicators": _highest(MPI.COMM_SELF.Dup, 300)}
    # Each time twice as many: the free places that the last time left are not enough.
    many = MANY * 2 ** next(_times)
    memory = bytearray(1)
    return {
        "communicators": _ROOM - _communicators_left(),
        "datatypes": _highest(MPI.INT.Dup, many),
        "requests": _highest(lambda: MPI.COMM_SELF.Send_init(memory, 0), many),
    }


def _communicators_left() -> int:
    made: list[MPI.Intracomm] = []
    try:
        while len(made) < _ROOM:
            made.append(MPI.COMM_SELF.Dup())
    except MPI.Exception:
        pass
    for comm in made:
        comm.Free()
    return len(made)


def _highest(make: Callable[[], Any], many: int) -> int:
    made = [make() for _ in range(many)]
    highest = max(_places([each.py2f() for each in made]))
    for each in made:
        each.Free()
    return highest + 1 - many


def _places(handles: list[int]) -> list[int]:
    """Their places; MPICH's tables have blocks, whose length the fullest one tells."""
    if not MPICH:
        return handles
    length = 1 + max(handle & 0xFFF for handle in handles)
    return [(handle >> 12 & 0x3FFF) * length + (handle & 0xFFF) for handle in handles]
