"""The blocking buffer forms. mpi4py's signatures, and `collectives.mpi.api` does the work."""

from __future__ import annotations

from collectives.mpi import api


class Blocking:
    """The blocking forms.

    They are the functions of the api, whose first argument is the communicator: one
    call more would be felt at a few bytes.
    """

    Barrier = api.barrier
    Bcast = api.bcast
    Scatter = api.scatter
    Scatterv = api.scatterv
    Gather = api.gather
    Gatherv = api.gatherv
    Allgather = api.allgather
    Allgatherv = api.allgatherv
    Alltoall = api.alltoall
    Alltoallv = api.alltoallv
    Alltoallw = api.alltoallw
    Reduce = api.reduce
    Allreduce = api.allreduce
    Reduce_scatter = api.reduce_scatter
    Reduce_scatter_block = api.reduce_scatter_block
    Scan = api.scan
    Exscan = api.exscan
