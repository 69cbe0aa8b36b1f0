"""Let a program that knows nothing of us use `Comm` for its world.

mpi4py's MPI is imported by the program itself, so that what it sets in `mpi4py.rc` holds.
Right after that, before the program sees them, COMM_WORLD and COMM_SELF become ours. They
are opened by their first collective: until then nothing calls MPI, which the program may
want to start later.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULE = "mpi4py.MPI"


class _Import(MetaPathFinder, Loader):
    """Imports mpi4py's MPI as usual, and then replaces its communicators."""

    def __init__(self, algorithms: Mapping[str, str] | None, settings: dict[str, Any]):
        self.algorithms = algorithms
        self.settings = settings
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
        replace(self.algorithms, **self.settings)


def replace_when_imported(algorithms: Mapping[str, str] | None, **settings: Any) -> None:
    """Replace COMM_WORLD and COMM_SELF as soon as the program imports mpi4py's MPI.

    Parameters
    ----------
    algorithms : mapping or None
        The algorithm of every primitive; the library's defaults if None.
    **settings
        `check` and `timeout` of `Comm`.
    """
    if MODULE in sys.modules:
        replace(algorithms, **settings)
    else:
        sys.meta_path.insert(0, _Import(algorithms, settings))


def replace(
    algorithms: Mapping[str, str] | None, check: bool | None, timeout: float | None
) -> None:
    """Replace COMM_WORLD and COMM_SELF by ours; nothing is sent."""
    from mpi4py import MPI

    from collectives.mpi.comm import Comm
    from collectives.mpi.guards.settings import from_environment

    for name in ("COMM_WORLD", "COMM_SELF"):
        comm = MPI.Intracomm.__new__(Comm, getattr(MPI, name))
        comm._settings = from_environment().but(check, timeout)
        if algorithms is not None:
            comm._algorithms = algorithms
        setattr(MPI, name, comm)


def end_all_with(problem: BaseException) -> None:
    """Let an error of this rank end the program on all: MPI aborts when this process ends."""
    from mpi4py.run import set_abort_status

    set_abort_status(problem)
