"""The blocking buffer forms. The signatures are mpi4py's; `collectives.api` does the work.

Each calls its function directly: one call more would be felt at a few bytes.
"""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from collectives import api
from collectives.forms import Counts, Forms
from collectives.mpi_operators import Op


class Blocking(Forms, MPI.Intracomm):
    """The blocking forms."""

    def _callw(self, sendbuf: Any, recvbuf: Any, algorithm: Any, parameters: Any) -> None:
        source, target = self._sides(sendbuf, recvbuf)
        source.pack()
        arguments = source.spec, target.spec
        spec = self._algorithms["alltoall"] if algorithm is None else algorithm
        api.alltoallv(self, *arguments, spec, **parameters)
        target.unpack()

    def Barrier(
        self,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Barrier` by one of our algorithms."""
        spec = self._algorithms["barrier"] if algorithm is None else algorithm
        api.barrier(self, spec, **parameters)

    def Bcast(
        self,
        buf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Bcast` by one of our algorithms."""
        spec = self._algorithms["bcast"] if algorithm is None else algorithm
        api.bcast(self, buf, root, spec, **parameters)

    def Scatter(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Scatter` by one of our algorithms."""
        spec = self._algorithms["scatter"] if algorithm is None else algorithm
        api.scatter(self, sendbuf, recvbuf, root, spec, **parameters)

    def Scatterv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Scatterv` by one of our algorithms."""
        spec = self._algorithms["scatter"] if algorithm is None else algorithm
        api.scatterv(self, sendbuf, recvbuf, root, spec, **parameters)

    def Gather(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Gather` by one of our algorithms."""
        spec = self._algorithms["gather"] if algorithm is None else algorithm
        api.gather(self, sendbuf, recvbuf, root, spec, **parameters)

    def Gatherv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Gatherv` by one of our algorithms."""
        spec = self._algorithms["gather"] if algorithm is None else algorithm
        api.gatherv(self, sendbuf, recvbuf, root, spec, **parameters)

    def Allgather(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Allgather` by one of our algorithms."""
        spec = self._algorithms["allgather"] if algorithm is None else algorithm
        api.allgather(self, sendbuf, recvbuf, spec, **parameters)

    def Allgatherv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Allgatherv` by one of our algorithms."""
        spec = self._algorithms["allgather"] if algorithm is None else algorithm
        api.allgatherv(self, sendbuf, recvbuf, spec, **parameters)

    def Alltoall(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Alltoall` by one of our algorithms."""
        spec = self._algorithms["alltoall"] if algorithm is None else algorithm
        api.alltoall(self, sendbuf, recvbuf, spec, **parameters)

    def Alltoallv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Alltoallv` by one of our algorithms."""
        spec = self._algorithms["alltoall"] if algorithm is None else algorithm
        api.alltoallv(self, sendbuf, recvbuf, spec, **parameters)

    def Alltoallw(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Alltoallw` by one of our algorithms."""
        self._callw(sendbuf, recvbuf, algorithm, parameters)

    def Reduce(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Reduce` by one of our algorithms."""
        spec = self._algorithms["reduce"] if algorithm is None else algorithm
        api.reduce(self, sendbuf, recvbuf, op, root, spec, **parameters)

    def Allreduce(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Allreduce` by one of our algorithms."""
        spec = self._algorithms["allreduce"] if algorithm is None else algorithm
        api.allreduce(self, sendbuf, recvbuf, op, spec, **parameters)

    def Reduce_scatter(
        self,
        sendbuf: Any,
        recvbuf: Any,
        recvcounts: Counts = None,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Reduce_scatter` by one of our algorithms."""
        spec = self._algorithms["reduce_scatter"] if algorithm is None else algorithm
        api.reduce_scatter(self, sendbuf, recvbuf, recvcounts, op, spec, **parameters)

    def Reduce_scatter_block(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Reduce_scatter_block` by one of our algorithms."""
        spec = self._algorithms["reduce_scatter"] if algorithm is None else algorithm
        api.reduce_scatter_block(self, sendbuf, recvbuf, op, spec, **parameters)

    def Scan(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Scan` by one of our algorithms."""
        spec = self._algorithms["scan"] if algorithm is None else algorithm
        api.scan(self, sendbuf, recvbuf, op, spec, **parameters)

    def Exscan(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Exscan` by one of our algorithms."""
        spec = self._algorithms["exscan"] if algorithm is None else algorithm
        api.exscan(self, sendbuf, recvbuf, op, spec, **parameters)
