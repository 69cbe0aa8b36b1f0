"""The persistent buffer forms, with mpi4py's signatures."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from collectives.mpi.data.memory import held, let_go
from collectives.mpi.data.operators import Op
from collectives.mpi.forms.base import Counts, Forms
from collectives.mpi.plans.deferred import set_up
from collectives.mpi.plans.requests import Prequest


class Persistent(Forms):
    """The persistent forms. They may be started in any order."""

    def _set_up(
        self,
        primitive: str,
        algorithm: str | None,
        parameters: dict[str, Any],
        *buffers: Any,
        root: int | None = None,
        op: Op | None = None,
        counts: Any = None,
        form: str = "",
    ) -> Prequest:
        """Set up a call."""
        exported: list = []
        facts = held(buffers, exported), root, op, counts, form
        try:
            call = self._invocation(primitive, algorithm, parameters, *facts)
            return set_up(self._channel(), call, exported)
        except BaseException:
            let_go(exported)
            raise

    def Barrier_init(
        self,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Barrier`, set up to be started often."""
        return self._set_up("barrier", algorithm, parameters)

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
        return self._set_up("bcast", algorithm, parameters, buf, root=root)

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
        return self._set_up("scatter", algorithm, parameters, sendbuf, recvbuf, root=root)

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
            "scatter", algorithm, parameters, sendbuf, recvbuf, root=root, form="scatterv"
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
        return self._set_up("gather", algorithm, parameters, sendbuf, recvbuf, root=root)

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
        return self._set_up(
            "gather", algorithm, parameters, sendbuf, recvbuf, root=root, form="gatherv"
        )

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
        return self._set_up("allgather", algorithm, parameters, sendbuf, recvbuf)

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
        return self._set_up("allgather", algorithm, parameters, sendbuf, recvbuf, counts=())

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
        return self._set_up("alltoall", algorithm, parameters, sendbuf, recvbuf)

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
        return self._set_up("alltoall", algorithm, parameters, sendbuf, recvbuf, form="alltoallv")

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
        return self._set_up("alltoall", algorithm, parameters, sendbuf, recvbuf, form="alltoallw")

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
        return self._set_up("reduce", algorithm, parameters, sendbuf, recvbuf, op=op, root=root)

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
        return self._set_up("allreduce", algorithm, parameters, sendbuf, recvbuf, op=op)

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
            algorithm,
            parameters,
            sendbuf,
            recvbuf,
            counts=recvcounts,
            op=op,
            form="reduce_scatter",
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
        return self._set_up("reduce_scatter", algorithm, parameters, sendbuf, recvbuf, op=op)

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
        return self._set_up("scan", algorithm, parameters, sendbuf, recvbuf, op=op)

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
        return self._set_up("exscan", algorithm, parameters, sendbuf, recvbuf, op=op)
