"""The built-in: the same call on mpi4py's own communicator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mpi4py import MPI

from collectives.problems import Buffers


def builtin(comm: MPI.Intracomm, primitive: str, buffers: Buffers) -> Callable[[], object]:
    """What the `mpi` row times."""
    send, recv = buffers.send, buffers.recv
    match primitive:
        case "barrier":
            return comm.Barrier
        case "bcast":
            return partial(comm.Bcast, recv, 0)
        case "scatter":
            return partial(comm.Scatter, send, recv, 0)
        case "gather":
            return partial(comm.Gather, send, recv, 0)
        case "allgather":
            return partial(comm.Allgather, send, recv)
        case "reduce":
            return partial(comm.Reduce, send, recv, MPI.SUM, 0)
        case "allreduce":
            return partial(comm.Allreduce, send, recv, MPI.SUM)
        case "reduce_scatter":
            return partial(comm.Reduce_scatter_block, send, recv, MPI.SUM)
        case "alltoall":
            return partial(comm.Alltoall, send, recv)
        case "scan":
            return partial(comm.Scan, send, recv, MPI.SUM)
        case "exscan":
            return partial(comm.Exscan, send, recv, MPI.SUM)
    raise AssertionError(primitive)
