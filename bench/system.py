"""Where the numbers come from: versions, hosts, cores, load."""

from __future__ import annotations

import os
import platform
import socket
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mpi4py
import numpy as np
from mpi4py import MPI

from collectives.machine.model import Machine, on_nodes
from collectives.mpi.data.nodes import leader

# Nothing else of the environment is written anywhere: it may hold secrets.
SHOWN = ("MPIR_CVAR_", "OMPI_MCA_", "PRTE_MCA_", "UCX_", "FI_", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class System:
    """What a reader must know to judge the numbers.

    Attributes
    ----------
    mpi, mpi_library : str
        Name and version, and all that the library says of itself.
    hosts : list of str
        Of each rank.
    cores : int
        That the ranks on rank 0's machine may use together.
    sharing : int
        Ranks on that machine.
    one_clock : bool
        Whether all ranks read the same clock, because they are on the same machine.
    load : float or None
        Processes that ran there in the minute before, as an average.
    timer_ns : float
        What reading the clock costs.
    environment : dict
        Variables that steer the MPI.
    """

    collectives: str
    mpi: str
    mpi_library: str
    mpi4py: str
    numpy: str
    python: str
    platform: str
    hosts: list[str]
    cores: int
    sharing: int
    one_clock: bool
    load: float | None
    timer_ns: float
    environment: dict[str, str]

    @property
    def oversubscribed(self) -> bool:
        return self.sharing > self.cores


def system(comm: MPI.Intracomm) -> System:
    """Ask all ranks; the same on all."""
    sharing, cores = _cores(comm)
    name, numbers = MPI.get_vendor()
    mine = System(
        collectives=_version(),
        mpi=f"{name} {'.'.join(map(str, numbers))}",
        mpi_library=MPI.Get_library_version().strip("\0\n "),
        mpi4py=mpi4py.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        hosts=comm.allgather(socket.gethostname()),
        cores=cores,
        sharing=sharing,
        one_clock=one_clock(comm),
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        timer_ns=_timer(),
        environment={k: v for k, v in sorted(os.environ.items()) if k.startswith(SHOWN)},
    )
    return comm.bcast(mine)


def _cores(comm: MPI.Intracomm) -> tuple[int, int]:
    """How many ranks share rank 0's machine, and the cores that they may use together."""
    everywhere = comm.allgather((_kernel(), _affinity()))
    here = [cores for kernel, cores in everywhere if kernel == everywhere[0][0]]
    return len(here), len(set().union(*here))


def one_clock(comm: MPI.Intracomm) -> bool:
    """Whether `time.perf_counter` shows the same on all ranks: if one kernel runs them all."""
    return len(set(comm.allgather(_kernel()))) == 1


def _kernel() -> str:
    """What tells one machine from another, whatever hosts are made of it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return socket.gethostname()


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _timer(reads: int = 1000) -> float:
    start = time.perf_counter_ns()
    for _ in range(reads):
        time.perf_counter()
    return (time.perf_counter_ns() - start) / reads


def _version() -> str:
    try:
        return version("mpi-collectives")
    except PackageNotFoundError:  # a checkout on PYTHONPATH
        return "(not installed)"


def nodes(comm: MPI.Intracomm) -> Machine:
    """The nodes of the ranks, as MPI knows them; collective."""
    return on_nodes(comm.allgather(leader(comm)))
