"""Collective communication that you can read: learn, compare and choose.

Over MPI, the functions are named after the primitives and take mpi4py's
arguments and the name of an algorithm::

    collectives.allreduce(comm, sendbuf, recvbuf, op=MPI.SUM, algorithm="ring")

Without MPI, for any number of ranks::

    collectives.algorithms_for("allreduce")
    collectives.count("allreduce", "ring", p=1024, n=2**30)
    collectives.simulate("allreduce", "ring", p=1024, n=2**30).time

Importing this package initialises nothing: what a name needs is imported when
the name is first used, and MPI only by what runs over MPI.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# In a checkout, algorithms/ and bench/ lie beside this folder, not inside it.
if not (Path(__file__).parent / "algorithms").is_dir():
    __path__.append(str(Path(__file__).parent.parent))

_HOME = {
    "mpi.api": "barrier bcast scatter scatterv gather gatherv allgather allgatherv reduce "
    "allreduce reduce_scatter reduce_scatter_block alltoall alltoallv scan exscan",
    "mpi.comm": "Cartcomm Comm Distgraphcomm Graphcomm Intercomm",
    "mpi.plans.requests": "Prequest Request",
    "catalogue": "DEFAULTS algorithms_for find load",
    "study.simulation": "Counts count simulate",
    "study.compression": "Loss loss",
    "engines.simulator": "Load Run",
    "engines.trace": "Trace",
    "study.tracing": "trace",
    "machine": "Clock LogGP Machine",
    "mpi.reproducible": "reproducible_sum",
    "operators.operator": "OPERATORS REPRODUCIBLE_SUM Operator",
    "problems": "Problem",
    "algorithms.language.registry": "PRIMITIVES Algorithm algorithm",
    "errors": "ArgumentError BufferMismatch CallMismatch CollectiveError Deadlock Endless "
    "Interrupted RemoteError RestrictionError ScheduleError Timeout UnknownAlgorithm WrongResult",
}
_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted(_MODULE)

if TYPE_CHECKING:  # the same for type checkers, who cannot follow __getattr__
    from collectives.algorithms.language.registry import *  # noqa: F403
    from collectives.catalogue import *  # noqa: F403
    from collectives.engines.simulator import Load, Run
    from collectives.engines.trace import Trace
    from collectives.errors import *  # noqa: F403
    from collectives.machine import Clock, LogGP, Machine
    from collectives.mpi.api import *  # noqa: F403
    from collectives.mpi.comm import *  # noqa: F403
    from collectives.mpi.plans.requests import *  # noqa: F403
    from collectives.mpi.reproducible import *  # noqa: F403
    from collectives.operators.operator import *  # noqa: F403
    from collectives.problems import *  # noqa: F403
    from collectives.study.compression import *  # noqa: F403
    from collectives.study.simulation import *  # noqa: F403
    from collectives.study.tracing import trace


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
