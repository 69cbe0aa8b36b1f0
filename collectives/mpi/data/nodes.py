"""Which ranks share a node, as MPI knows it."""

from __future__ import annotations

from mpi4py import MPI


def leader(comm: MPI.Intracomm) -> int:
    """The lowest rank that shares memory with this one. Collective."""
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    near, all_ = node.Get_group(), comm.Get_group()
    [lowest] = MPI.Group.Translate_ranks(near, [0], all_)
    for each in (near, all_, node):
        each.Free()
    return lowest
