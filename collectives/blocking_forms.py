"""The blocking buffer forms. The signatures are mpi4py's; `collectives.api` does the work."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from collectives import api
from collectives.forms import Counts, Forms


class Blocking(Forms):
    """The blocking forms."""

    def _call(
        self, primitive: str, function: Any, arguments: tuple, algorithm: Any, parameters: Any
    ) -> None:
        spec = self._algorithms[primitive] if algorithm is None else algorithm
        if not self:
            self._channel()  # raises mpi4py's own error
        function(self, *arguments, algorithm=spec, **parameters)

    def _callw(self, sendbuf: Any, recvbuf: Any, algorithm: Any, parameters: Any) -> None:
        source, target = self._sides(sendbuf, recvbuf)
        source.pack()
        arguments = source.spec, target.spec
        self._call("alltoall", api.alltoallv, arguments, algorithm, parameters)
        target.unpack()

    def Barrier(
        self,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Barrier` by one of our algorithms."""
        self._call("barrier", api.barrier, (), algorithm, parameters)

    def Bcast(
        self,
        buf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Bcast` by one of our algorithms."""
        self._call("bcast", api.bcast, (buf, root), algorithm, parameters)

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
        self._call("scatter", api.scatter, (sendbuf, recvbuf, root), algorithm, parameters)

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
        self._call("scatter", api.scatterv, (sendbuf, recvbuf, root), algorithm, parameters)

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
        self._call("gather", api.gather, (sendbuf, recvbuf, root), algorithm, parameters)

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
        self._call("gather", api.gatherv, (sendbuf, recvbuf, root), algorithm, parameters)

    def Allgather(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Allgather` by one of our algorithms."""
        self._call("allgather", api.allgather, (sendbuf, recvbuf), algorithm, parameters)

    def Allgatherv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Allgatherv` by one of our algorithms."""
        self._call("allgather", api.allgatherv, (sendbuf, recvbuf), algorithm, parameters)

    def Alltoall(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Alltoall` by one of our algorithms."""
        self._call("alltoall", api.alltoall, (sendbuf, recvbuf), algorithm, parameters)

    def Alltoallv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Alltoallv` by one of our algorithms."""
        self._call("alltoall", api.alltoallv, (sendbuf, recvbuf), algorithm, parameters)

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
        op: MPI.Op = MPI.SUM,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Reduce` by one of our algorithms."""
        self._call("reduce", api.reduce, (sendbuf, recvbuf, op, root), algorithm, parameters)

    def Allreduce(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: MPI.Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Allreduce` by one of our algorithms."""
        self._call("allreduce", api.allreduce, (sendbuf, recvbuf, op), algorithm, parameters)

    def Reduce_scatter(
        self,
        sendbuf: Any,
        recvbuf: Any,
        recvcounts: Counts = None,
        op: MPI.Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Reduce_scatter` by one of our algorithms."""
        self._call(
            "reduce_scatter",
            api.reduce_scatter,
            (sendbuf, recvbuf, recvcounts, op),
            algorithm,
            parameters,
        )

    def Reduce_scatter_block(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: MPI.Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Reduce_scatter_block` by one of our algorithms."""
        self._call(
            "reduce_scatter",
            api.reduce_scatter_block,
            (sendbuf, recvbuf, op),
            algorithm,
            parameters,
        )

    def Scan(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: MPI.Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Scan` by one of our algorithms."""
        self._call("scan", api.scan, (sendbuf, recvbuf, op), algorithm, parameters)

    def Exscan(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: MPI.Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> None:
        """`MPI.Intracomm.Exscan` by one of our algorithms."""
        self._call("exscan", api.exscan, (sendbuf, recvbuf, op), algorithm, parameters)
