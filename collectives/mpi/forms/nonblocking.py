"""The nonblocking buffer forms, with mpi4py's signatures."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from collectives.mpi.data.memory import held, let_go
from collectives.mpi.data.operators import Op
from collectives.mpi.forms.base import Counts, Forms
from collectives.mpi.plans.channel import IN_FLIGHT
from collectives.mpi.plans.deferred import replay, start
from collectives.mpi.plans.keys import NOT_KEPT, key_of
from collectives.mpi.plans.requests import Request


class Nonblocking(Forms):
    """The nonblocking forms. Any number may be in flight; all ranks start them in one order."""

    def _start(
        self,
        primitive: str,
        algorithm: str | None,
        parameters: dict[str, Any],
        *buffers: Any,
        root: int | None = None,
        op: Op | None = None,
        counts: Any = None,
        form: str = "",
    ) -> Request:
        """Start a call; find its plan at once if there is one."""
        shape = pool = plan = None
        exported: list = []
        try:
            facts = algorithm, buffers, root, op, parameters, counts
            key, addresses = key_of(form or primitive, *facts, exported)
            shape = IN_FLIGHT, key
            pool = self._ready.get(shape)
        except NOT_KEPT:
            pass
        if pool is not None:
            plan = pool.take(addresses)
        if pool is not None and plan is not None:
            traffic = pool.store.traffic
            return replay(pool, plan, addresses, buffers, exported, traffic, plan.wait)
        try:
            buffers = held(buffers, exported)
            channel, asked = self._channel(), (primitive, algorithm, parameters)
            call = self._invocation(*asked, buffers, root, op, counts, form)
            self._ready = channel.store.ready(self._algorithms)
            return start(channel, call, self._ready, shape, exported)
        except BaseException:
            let_go(exported)
            raise

    def Ibarrier(
        self,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Barrier`, started; the request says when it has ended."""
        return self._start("barrier", algorithm, parameters)

    def Ibcast(
        self,
        buf: Any,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Bcast`, started; the request says when it has ended."""
        return self._start("bcast", algorithm, parameters, buf, root=root)

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
        return self._start("scatter", algorithm, parameters, sendbuf, recvbuf, root=root)

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
        return self._start(
            "scatter", algorithm, parameters, sendbuf, recvbuf, root=root, form="scatterv"
        )

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
        return self._start("gather", algorithm, parameters, sendbuf, recvbuf, root=root)

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
        return self._start(
            "gather", algorithm, parameters, sendbuf, recvbuf, root=root, form="gatherv"
        )

    def Iallgather(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Allgather`, started; the request says when it has ended."""
        return self._start("allgather", algorithm, parameters, sendbuf, recvbuf)

    def Iallgatherv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Allgatherv`, started; the request says when it has ended."""
        return self._start("allgather", algorithm, parameters, sendbuf, recvbuf, counts=())

    def Ialltoall(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Alltoall`, started; the request says when it has ended."""
        return self._start("alltoall", algorithm, parameters, sendbuf, recvbuf)

    def Ialltoallv(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Alltoallv`, started; the request says when it has ended."""
        return self._start("alltoall", algorithm, parameters, sendbuf, recvbuf, form="alltoallv")

    def Ialltoallw(
        self,
        sendbuf: Any,
        recvbuf: Any,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Alltoallw`, started; the request says when it has ended."""
        return self._start("alltoall", algorithm, parameters, sendbuf, recvbuf, form="alltoallw")

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
        return self._start("reduce", algorithm, parameters, sendbuf, recvbuf, root=root, op=op)

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
        return self._start("allreduce", algorithm, parameters, sendbuf, recvbuf, op=op)

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
            algorithm,
            parameters,
            sendbuf,
            recvbuf,
            counts=recvcounts,
            op=op,
            form="reduce_scatter",
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
        return self._start("reduce_scatter", algorithm, parameters, sendbuf, recvbuf, op=op)

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
        return self._start("scan", algorithm, parameters, sendbuf, recvbuf, op=op)

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
        return self._start("exscan", algorithm, parameters, sendbuf, recvbuf, op=op)
