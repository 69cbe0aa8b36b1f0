"""Which ranks share a node, as MPI knows it."""

from __future__ import annotations

from mpi4py import MPI


def detect(comm: MPI.Intracomm) -> tuple[int, ...]:
    """For each rank the lowest one that shares memory with it. Collective."""
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    leader = node.bcast(comm.Get_rank(), 0)
    node.Free()
    return tuple(comm.allgather(leader))
