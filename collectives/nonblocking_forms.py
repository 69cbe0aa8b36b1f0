"""The nonblocking buffer forms, with mpi4py's signatures."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from collectives import api
from collectives.deferred import start
from collectives.forms import Counts, Forms
from collectives.mpi_operators import Op, owned
from collectives.requests import Request


class Nonblocking(Forms):
    """The nonblocking forms. Any number may be in flight; all ranks start them in one order."""

    def _start(
        self, primitive: str, function: Any, arguments: tuple, algorithm: Any, parameters: Any
    ) -> Request:
        arguments = tuple(owned(*arguments))
        return start(
            self._channel(), self._function(primitive, function, arguments, algorithm, parameters)
        )

    def _startw(self, sendbuf: Any, recvbuf: Any, algorithm: Any, parameters: Any) -> Request:
        source, target = self._sides(sendbuf, recvbuf)
        arguments = source.spec, target.spec
        function = self._function("alltoall", api.alltoallv, arguments, algorithm, parameters)
        return start(self._channel(), function, source.pack, target.unpack)

    def Ibarrier(
        self,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Barrier`, started; the request says when it has ended."""
        return self._start("barrier", api.barrier, (), algorithm, parameters)

    def Ibcast(
        self,
        buf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Bcast`, started; the request says when it has ended."""
        return self._start("bcast", api.bcast, (buf, root), algorithm, parameters)

    def Iscatter(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Scatter`, started; the request says when it has ended."""
        return self._start("scatter", api.scatter, (sendbuf, recvbuf, root), algorithm, parameters)

    def Iscatterv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Scatterv`, started; the request says when it has ended."""
        return self._start("scatter", api.scatterv, (sendbuf, recvbuf, root), algorithm, parameters)

    def Igather(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Gather`, started; the request says when it has ended."""
        return self._start("gather", api.gather, (sendbuf, recvbuf, root), algorithm, parameters)

    def Igatherv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Gatherv`, started; the request says when it has ended."""
        return self._start("gather", api.gatherv, (sendbuf, recvbuf, root), algorithm, parameters)

    def Iallgather(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Allgather`, started; the request says when it has ended."""
        return self._start("allgather", api.allgather, (sendbuf, recvbuf), algorithm, parameters)

    def Iallgatherv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Allgatherv`, started; the request says when it has ended."""
        return self._start("allgather", api.allgatherv, (sendbuf, recvbuf), algorithm, parameters)

    def Ialltoall(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Alltoall`, started; the request says when it has ended."""
        return self._start("alltoall", api.alltoall, (sendbuf, recvbuf), algorithm, parameters)

    def Ialltoallv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Alltoallv`, started; the request says when it has ended."""
        return self._start("alltoall", api.alltoallv, (sendbuf, recvbuf), algorithm, parameters)

    def Ialltoallw(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Alltoallw`, started; the request says when it has ended."""
        return self._startw(sendbuf, recvbuf, algorithm, parameters)

    def Ireduce(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Reduce`, started; the request says when it has ended."""
        return self._start(
            "reduce", api.reduce, (sendbuf, recvbuf, op, root), algorithm, parameters
        )

    def Iallreduce(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Allreduce`, started; the request says when it has ended."""
        return self._start(
            "allreduce", api.allreduce, (sendbuf, recvbuf, op), algorithm, parameters
        )

    def Ireduce_scatter(
        self,
        sendbuf: Any,
        recvbuf: Any,
        recvcounts: Counts = None,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Reduce_scatter`, started; the request says when it has ended."""
        return self._start(
            "reduce_scatter",
            api.reduce_scatter,
            (sendbuf, recvbuf, recvcounts, op),
            algorithm,
            parameters,
        )

    def Ireduce_scatter_block(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Reduce_scatter_block`, started; the request says when it has ended."""
        return self._start(
            "reduce_scatter",
            api.reduce_scatter_block,
            (sendbuf, recvbuf, op),
            algorithm,
            parameters,
        )

    def Iscan(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Scan`, started; the request says when it has ended."""
        return self._start("scan", api.scan, (sendbuf, recvbuf, op), algorithm, parameters)

    def Iexscan(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Exscan`, started; the request says when it has ended."""
        return self._start("exscan", api.exscan, (sendbuf, recvbuf, op), algorithm, parameters)
