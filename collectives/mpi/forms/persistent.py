"""The persistent buffer forms, with mpi4py's signatures."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from collectives.mpi import api
from collectives.mpi.data.operators import Op
from collectives.mpi.forms.base import Counts, Forms
from collectives.mpi.plans.deferred import set_up
from collectives.mpi.plans.requests import Prequest


class Persistent(Forms):
    """The persistent forms. They may be started in any order."""

    def _set_up(
        self, primitive: str, function: Any, arguments: tuple, algorithm: Any, parameters: Any
    ) -> Prequest:
        function = self._function(primitive, function, arguments, algorithm, parameters)
        return set_up(self._channel(), function)

    def _set_upw(self, sendbuf: Any, recvbuf: Any, algorithm: Any, parameters: Any) -> Prequest:
        source, target = self._sides(sendbuf, recvbuf)
        arguments = source.spec, target.spec
        function = self._function("alltoall", api.alltoallv, arguments, algorithm, parameters)
        return set_up(self._channel(), function, source.pack, target.unpack)

    def Barrier_init(
        self,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Barrier`, set up to be started often."""
        return self._set_up("barrier", api.barrier, (), algorithm, parameters)

    def Bcast_init(
        self,
        buf: Any,
        root: int = 0,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Bcast`, set up to be started often."""
        return self._set_up("bcast", api.bcast, (buf, root), algorithm, parameters)

    def Scatter_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Scatter`, set up to be started often."""
        return self._set_up("scatter", api.scatter, (sendbuf, recvbuf, root), algorithm, parameters)

    def Scatterv_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Scatterv`, set up to be started often."""
        return self._set_up(
            "scatter", api.scatterv, (sendbuf, recvbuf, root), algorithm, parameters
        )

    def Gather_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Gather`, set up to be started often."""
        return self._set_up("gather", api.gather, (sendbuf, recvbuf, root), algorithm, parameters)

    def Gatherv_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        root: int = 0,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Gatherv`, set up to be started often."""
        return self._set_up("gather", api.gatherv, (sendbuf, recvbuf, root), algorithm, parameters)

    def Allgather_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Allgather`, set up to be started often."""
        return self._set_up("allgather", api.allgather, (sendbuf, recvbuf), algorithm, parameters)

    def Allgatherv_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Allgatherv`, set up to be started often."""
        return self._set_up("allgather", api.allgatherv, (sendbuf, recvbuf), algorithm, parameters)

    def Alltoall_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Alltoall`, set up to be started often."""
        return self._set_up("alltoall", api.alltoall, (sendbuf, recvbuf), algorithm, parameters)

    def Alltoallv_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Alltoallv`, set up to be started often."""
        return self._set_up("alltoall", api.alltoallv, (sendbuf, recvbuf), algorithm, parameters)

    def Alltoallw_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Alltoallw`, set up to be started often."""
        return self._set_upw(sendbuf, recvbuf, algorithm, parameters)

    def Reduce_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        root: int = 0,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Reduce`, set up to be started often."""
        return self._set_up(
            "reduce", api.reduce, (sendbuf, recvbuf, op, root), algorithm, parameters
        )

    def Allreduce_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Allreduce`, set up to be started often."""
        return self._set_up(
            "allreduce", api.allreduce, (sendbuf, recvbuf, op), algorithm, parameters
        )

    def Reduce_scatter_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        recvcounts: Counts = None,
        op: Op = MPI.SUM,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Reduce_scatter`, set up to be started often."""
        return self._set_up(
            "reduce_scatter",
            api.reduce_scatter,
            (sendbuf, recvbuf, recvcounts, op),
            algorithm,
            parameters,
        )

    def Reduce_scatter_block_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Reduce_scatter_block`, set up to be started often."""
        return self._set_up(
            "reduce_scatter",
            api.reduce_scatter_block,
            (sendbuf, recvbuf, op),
            algorithm,
            parameters,
        )

    def Scan_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Scan`, set up to be started often."""
        return self._set_up("scan", api.scan, (sendbuf, recvbuf, op), algorithm, parameters)

    def Exscan_init(
        self,
        sendbuf: Any,
        recvbuf: Any,
        op: Op = MPI.SUM,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Exscan`, set up to be started often."""
        return self._set_up("exscan", api.exscan, (sendbuf, recvbuf, op), algorithm, parameters)
