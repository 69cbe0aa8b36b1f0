"""The buffer forms of mpi4py's collectives: blocking, nonblocking and persistent.

The signatures are mpi4py's; what a form does is said once, in `collectives.api`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mpi4py import MPI

from collectives import api
from collectives.alltoallw import Side, read_side
from collectives.channel import Channel
from collectives.deferred import set_up, start
from collectives.requests import Prequest, Request

Counts = Sequence[int] | None


class _Forms:
    """What the three kinds of forms need of a communicator."""

    _algorithms: Mapping[str, str]

    def _channel(self) -> Channel:
        raise NotImplementedError

    def _function(
        self,
        primitive: str,
        function: Callable[..., None],
        arguments: tuple,
        algorithm: str | None,
        parameters: dict[str, Any],
    ) -> Callable[[Channel], None]:
        """A function of the api with all its arguments but the channel."""
        spec = self._algorithms[primitive] if algorithm is None else algorithm
        return lambda channel: function(channel, *arguments, algorithm=spec, **parameters)

    def _sides(self, sendbuf: Any, recvbuf: Any) -> tuple[Side, Side]:
        """The buffers of an Alltoallw."""
        p, title = self._channel().p, "alltoallw"
        source = read_side(
            title,
            *(
                ("recvbuf", recvbuf)
                if isinstance(sendbuf, MPI.InPlaceType)
                else ("sendbuf", sendbuf)
            ),
            p,
            writes=False,
        )
        return source, read_side(title, "recvbuf", recvbuf, p, writes=True)


class Blocking(_Forms):
    """The blocking forms."""

    def _call(
        self, primitive: str, function: Any, arguments: tuple, algorithm: Any, parameters: Any
    ) -> None:
        spec = self._algorithms[primitive] if algorithm is None else algorithm
        function(self._channel(), *arguments, algorithm=spec, **parameters)

    def _callw(self, sendbuf: Any, recvbuf: Any, algorithm: Any, parameters: Any) -> None:
        source, target = self._sides(sendbuf, recvbuf)
        source.pack()
        arguments = source.spec, target.spec
        self._call("alltoall", api.alltoallv, arguments, algorithm, parameters)
        target.unpack()
        source.free()
        target.free()

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


class Nonblocking(_Forms):
    """The nonblocking forms. Any number may be in flight; all ranks start them in one order."""

    def _start(
        self, primitive: str, function: Any, arguments: tuple, algorithm: Any, parameters: Any
    ) -> Request:
        return start(
            self._channel(), self._function(primitive, function, arguments, algorithm, parameters)
        )

    def _startw(self, sendbuf: Any, recvbuf: Any, algorithm: Any, parameters: Any) -> Request:
        source, target = self._sides(sendbuf, recvbuf)
        arguments = source.spec, target.spec
        function = self._function("alltoall", api.alltoallv, arguments, algorithm, parameters)

        def after() -> None:
            target.unpack()
            source.free()
            target.free()

        return start(self._channel(), function, source.pack, after)

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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Request:
        """`Exscan`, started; the request says when it has ended."""
        return self._start("exscan", api.exscan, (sendbuf, recvbuf, op), algorithm, parameters)


class Persistent(_Forms):
    """The persistent forms. They may be started in any order."""

    def _set_up(
        self, primitive: str, function: Any, arguments: tuple, algorithm: Any, parameters: Any
    ) -> Prequest:
        function = self._function(primitive, function, arguments, algorithm, parameters)
        return set_up(self._channel(), primitive, function)

    def _set_upw(self, sendbuf: Any, recvbuf: Any, algorithm: Any, parameters: Any) -> Prequest:
        source, target = self._sides(sendbuf, recvbuf)
        arguments = source.spec, target.spec
        function = self._function("alltoall", api.alltoallv, arguments, algorithm, parameters)
        return set_up(self._channel(), "alltoall", function, source.pack, target.unpack)

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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
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
        op: MPI.Op = MPI.SUM,
        info: MPI.Info = MPI.INFO_NULL,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Prequest:
        """`Exscan`, set up to be started often."""
        return self._set_up("exscan", api.exscan, (sendbuf, recvbuf, op), algorithm, parameters)
