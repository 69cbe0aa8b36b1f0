"""Let a program that knows nothing of us use `Comm` for its world.

mpi4py's MPI is imported by the program itself, so that what it sets in `mpi4py.rc` holds.
Right after that, before the program sees them, COMM_WORLD and COMM_SELF become ours. They
are opened by their first collective: until then nothing calls MPI, which the program may
want to start later.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collectives.mpi.engines.tally import Usage

MODULE = "mpi4py.MPI"


class _Import(MetaPathFinder, Loader):
    """Imports mpi4py's MPI as usual, and then does what has to be done before it is used."""

    def __init__(self, then: Callable[[], None]):
        self.then = then
        self.loader: Any = None

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)  # once is enough, and now the others look for it
        spec = importlib.util.find_spec(name)
        if spec is not None:
            self.loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self.loader  # type: ignore[union-attr]
        self.loader.exec_module(module)
        self.then()


def when_imported(then: Callable[[], None]) -> None:
    """Call `then` as soon as the program imports mpi4py's MPI, before it sees it."""
    if is_used():
        then()
    else:
        sys.meta_path.insert(0, _Import(then))


def replace(
    algorithms: Mapping[str, str] | None,
    check: bool | None,
    timeout: float | None,
    trace: str | None = None,
) -> None:
    """Replace COMM_WORLD and COMM_SELF by ours; nothing is sent.

    Parameters
    ----------
    algorithms : mapping or None
        The algorithm of every primitive; the library's defaults if None.
    check : bool or None
    timeout : float or None
    trace : str or None
        As for `Comm`.
    """
    from mpi4py import MPI

    from collectives.mpi.comm import Comm
    from collectives.mpi.guards.settings import from_environment

    for name in ("COMM_WORLD", "COMM_SELF"):
        comm = MPI.Intracomm.__new__(Comm)
        # Given a communicator, mpi4py would ask MPI about it, which may not have begun.
        source, target = MPI._addressof(getattr(MPI, name)), MPI._addressof(comm)
        ctypes.memmove(target, source, MPI._sizeof(comm))
        comm._settings = from_environment().but(check, timeout, trace)
        if algorithms is not None:
            comm._algorithms = algorithms
        setattr(MPI, name, comm)


def usage_of_all() -> list[list[Usage]] | None:
    """What has run on each rank of the world, at rank 0; all ranks call it before MPI ends."""
    from mpi4py import MPI

    from collectives.mpi.engines.tally import everything

    if not MPI.Is_initialized() or MPI.Is_finalized():
        return None
    return MPI.Intracomm(MPI.COMM_WORLD).gather(everything())  # MPI's own, which is not counted


def before_the_end(report: Callable[[], None]) -> None:
    """Call `report` when the program ends MPI by itself."""
    from mpi4py import MPI

    finalize = MPI.Finalize

    def Finalize() -> None:
        report()
        finalize()

    MPI.Finalize = Finalize


def is_used() -> bool:
    """Whether the program has imported mpi4py's MPI."""
    return MODULE in sys.modules


def end_all_with(problem: BaseException) -> None:
    """Let an error of this rank end the program on all: MPI aborts when this process ends."""
    from mpi4py.run import set_abort_status

    set_abort_status(problem)
