"""The time in which MPI may be called, and communicators of ours that last as long.

Nothing of ours may call MPI before the program has initialised it or after it has finalized
it. So what needs MPI is made when it is first used, never on import, and what is still at
work is ended when MPI is about to be finalized: MPI then deletes the attributes of
MPI.COMM_SELF first of all, and one of them is ours. If the program does not finalize MPI,
Python's exit does it, and then mpi4py.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import ExitStack
from threading import Lock

from mpi4py import MPI

_SELF = MPI.COMM_SELF  # the program may put another one in its place

_endings = ExitStack()  # calls all, whatever one of them raises
_given: set[Callable[[], object]] = set()  # all of these
_keyval: list[int] = []
_lock = Lock()


def before_finalize(end: Callable[[], object]) -> None:
    """Call `end` once, before MPI is finalized; the last one that was given comes first.

    It may be given again and again.
    """
    with _lock:
        if end in _given:
            return
        _given.add(end)
        _endings.callback(end)
        if not _keyval:
            _keyval.append(MPI.Comm.Create_keyval(delete_fn=_end_all))
            _SELF.Set_attr(_keyval[0], True)
            atexit.register(_leave)


def private(comm: MPI.Intracomm) -> MPI.Intracomm:
    """A communicator of the same ranks of which the program sees nothing. Collective.

    A duplicate would copy the program's attributes, error handler and hints.
    """
    group = comm.Get_group()
    try:
        return MPI.Intracomm(MPI.Intracomm(comm).Create(group))
    finally:
        group.Free()


def _leave() -> None:
    if not MPI.Is_finalized():
        _SELF.Delete_attr(_keyval[0])


def _end_all(comm: MPI.Comm, keyval: int, value: object) -> None:
    _endings.close()
