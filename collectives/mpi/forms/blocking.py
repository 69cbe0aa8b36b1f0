"""The blocking buffer forms. mpi4py's signatures, and `collectives.mpi.api` does the work."""

from __future__ import annotations

from typing import Any

from collectives.mpi import api
from collectives.mpi.forms.base import Forms


class Blocking(Forms):
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
    Reduce = api.reduce
    Allreduce = api.allreduce
    Reduce_scatter = api.reduce_scatter
    Reduce_scatter_block = api.reduce_scatter_block
    Scan = api.scan
    Exscan = api.exscan

    def Alltoallw(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Alltoallw` by one of our algorithms."""
        source, target = self._sides(sendbuf, recvbuf)
        source.pack()
        arguments = source.spec, target.spec
        self._function("alltoall", api.alltoallv, arguments, algorithm, parameters)(self._channel())
        target.unpack()
