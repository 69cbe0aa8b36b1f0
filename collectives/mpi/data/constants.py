"""MPI's own communicators, also where the program has put ones of ours in their place.

mpi4py pickles a constant as its name in `mpi4py.MPI`. If another object stands there,
pickle refuses that; so plain constants are then pickled as what `constant` returns.
"""

from __future__ import annotations

import copyreg

from mpi4py import MPI

_PLAIN = {name: getattr(MPI, name) for name in ("COMM_WORLD", "COMM_SELF")}
_NAMES = {comm.handle: name for name, comm in _PLAIN.items()}


def name_of(comm: MPI.Comm) -> str | None:
    """The name in `mpi4py.MPI` of a constant or of what has its handle; None of others."""
    return _NAMES.get(comm.handle)


def constant(name: str) -> MPI.Intracomm:
    """The constant of mpi4py's with this name."""
    return _PLAIN[name]


def _reduce(comm: MPI.Intracomm) -> str | tuple:
    name = name_of(comm)
    if name is not None and comm is _PLAIN[name] is not getattr(MPI, name):
        return constant, (name,)
    return comm.__reduce__()


copyreg.pickle(MPI.Intracomm, _reduce)
