"""Our errors as MPI's: once MPI is there, each of ours is an `MPI.Exception`, too.

`collectives.errors` knows nothing of MPI. Importing this module gives each of its
classes a twin that inherits from MPI.Exception as well, and whoever raises the
one raises its twin: ``except BufferMismatch``, ``except ValueError`` and ``except
MPI.Exception`` all catch it. Pickled, it is ours again, and becomes a twin where
MPI is.
"""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from collectives import errors
from collectives.errors import CollectiveError


class _Twin:
    """What code that knows MPI.Exception asks for."""

    ours: type[CollectiveError]
    mpi_class: str

    def Get_error_class(self) -> int:
        """The class of the error, such as MPI.ERR_ROOT."""
        return getattr(MPI, self.mpi_class)

    def Get_error_code(self) -> int:
        """The same: a class is a code, too."""
        return self.Get_error_class()

    def Get_error_string(self) -> str:
        """The message."""
        return str(self)

    def __reduce__(self) -> tuple:
        return (self.ours, *super().__reduce__()[1:])

    __int__ = Get_error_code  # MPI.Exception compares and hashes by it
    __repr__ = Exception.__repr__


def _twin(ours: type[CollectiveError]) -> type:
    body: dict[str, Any] = {"ours": ours, "__module__": ours.__module__, "__doc__": ours.__doc__}
    return type(ours.__name__, (_Twin, ours, MPI.Exception), body)


for _error in vars(errors).values():
    if isinstance(_error, type) and issubclass(_error, CollectiveError):
        CollectiveError.variants[_error] = _twin(_error)
