"""The object forms: any picklable object, any Python operator.

An object travels as its pickle. The ranks tell each other the lengths first, then
the bytes move by the same algorithms as buffers of uneven blocks. Reductions
collect the objects and combine them in rank order: the result depends on no
algorithm, and an operator need not commute. `algorithm=` then is that of the gather,
or in scan and exscan of the allgather, which collects them.

`mpi4py.util.pkl5.Intracomm(comm)` of a `Comm` has its handle and mpi4py's object forms,
not ours. It is of use for objects beyond 2 GiB where MPI is older than 4.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives import binned
from collectives.algorithms import PRIMITIVES
from collectives.channel import Channel
from collectives.dispatch import call, call_bare, call_one, call_pair
from collectives.errors import ArgumentError
from collectives.operators import REPRODUCIBLE_SUM, Operator

Op = MPI.Op | Operator | Callable[[Any, Any], Any]

# What a call that tells lengths is a part of.
_TELLING = {name: f"lengths of the objects of {name}" for name in PRIMITIVES}

_FAILED = -1  # instead of a length: this rank has no pickle to send


class Objects:
    """The object forms."""

    def _channel(self) -> Channel:
        raise NotImplementedError

    def Ibarrier(self, *, algorithm: str | None = None, **parameters: Any) -> MPI.Request:
        raise NotImplementedError

    def barrier(self, *, algorithm: str | None = None, **parameters: Any) -> None:
        """Leave when every rank has come."""
        call_bare(self, "barrier", algorithm, parameters)

    def ibarrier(self, *, algorithm: str | None = None, **parameters: Any) -> MPI.Request:
        """`barrier`, started now; every rank has come when the request has ended."""
        return self.Ibarrier(algorithm=algorithm, **parameters)

    def bcast(
        self, obj: Any, root: int = 0, *, algorithm: str | None = None, **parameters: Any
    ) -> Any:
        """The root's object, on all ranks."""
        channel = self._channel()
        here = channel.rank == root
        pickles = _Pickles([obj] if here else [], 1)
        [length] = _told(channel, pickles, root, "bcast")
        data = channel.outgoing(pickles.joined()) if here else channel.space("in", length)
        call_one(self, "bcast", algorithm, data, root, parameters)
        return obj if here else MPI.pickle.loads(data)

    def scatter(
        self,
        sendobj: Sequence[Any] | None,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Any:
        """This rank's one of the root's p objects."""
        channel = self._channel()
        here = channel.rank == root
        pickles = _Pickles(sendobj if here else [], channel.p)
        lengths = _told(channel, pickles, root, "scatter")
        mine = channel.space("in", lengths[channel.rank])
        source = [channel.outgoing(pickles.joined()), lengths, None, MPI.BYTE] if here else None
        buffers = source, mine
        call(self, "scatter", algorithm, buffers, root, None, parameters, tuple(lengths))
        return MPI.pickle.loads(mine)

    def gather(
        self, sendobj: Any, root: int = 0, *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any] | None:
        """All ranks' objects, at the root."""
        return self._gather(sendobj, root, algorithm, parameters)

    def _gather(
        self,
        sendobj: Any,
        root: int,
        algorithm: str | None,
        parameters: dict[str, Any],
        within: str = "",
    ) -> list[Any] | None:
        channel = self._channel()
        pickles = _Pickles([sendobj], 1)
        lengths = _lengths(channel, pickles, "gather")
        whole = channel.space("in", sum(lengths)) if channel.rank == root else None
        target = None if whole is None else [whole, lengths, None, MPI.BYTE]
        buffers = channel.outgoing(pickles.joined()), target
        counts = tuple(lengths)
        call(self, "gather", algorithm, buffers, root, None, parameters, counts, within)
        return None if whole is None else _split(whole, lengths)

    def allgather(
        self, sendobj: Any, *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any]:
        """All ranks' objects, on all ranks."""
        channel = self._channel()
        pickles = _Pickles([sendobj], 1)
        lengths = _lengths(channel, pickles, "allgather")
        whole = channel.space("in", sum(lengths))
        buffers = channel.outgoing(pickles.joined()), [whole, lengths, None, MPI.BYTE]
        call(self, "allgather", algorithm, buffers, None, None, parameters, tuple(lengths))
        return _split(whole, lengths)

    def alltoall(
        self, sendobj: Sequence[Any], *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any]:
        """What every rank has for this one, of p objects each."""
        channel = self._channel()
        pickles = _Pickles(sendobj, channel.p)
        matrix = _exchanged(channel, pickles, "alltoall")
        counts = matrix.tobytes()
        going, coming = matrix[channel.rank].tolist(), matrix[:, channel.rank].tolist()
        whole = channel.space("in", sum(coming))
        source = [channel.outgoing(pickles.joined()), going, None, MPI.BYTE]
        buffers = source, [whole, coming, None, MPI.BYTE]
        call(self, "alltoall", algorithm, buffers, None, None, parameters, counts)
        return _split(whole, coming)

    def reduce(
        self,
        sendobj: Any,
        op: Op = MPI.SUM,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Any:
        """The reduction of all ranks' objects, at the root."""
        objects = self.gather(sendobj, root, algorithm=algorithm, **parameters)
        return None if objects is None else _combined(op, objects)

    def allreduce(
        self,
        sendobj: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Any:
        """The reduction of all ranks' objects, the same on all ranks: rank 0 makes it."""
        objects = self._gather(sendobj, 0, algorithm, parameters, "allreduce of objects")
        result, problem = None, None
        if objects is not None:
            try:
                result = _combined(op, objects)
            except Exception as error:  # or the others would wait for the result
                problem = error
        result, problem = self.bcast((result, problem))
        if problem is not None:
            raise problem
        return result

    def scan(
        self,
        sendobj: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Any:
        """The reduction of the objects of ranks 0 .. this one."""
        objects = self.allgather(sendobj, algorithm=algorithm, **parameters)
        return _combined(op, objects[: self._channel().rank + 1])

    def exscan(
        self,
        sendobj: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Any:
        """The reduction of the objects of the ranks below this one; None on rank 0."""
        objects = self.allgather(sendobj, algorithm=algorithm, **parameters)
        lower = objects[: self._channel().rank]
        return _combined(op, lower) if lower else None


def _told(channel: Channel, pickles: _Pickles, root: int, primitive: str) -> list[int]:
    """The lengths of the root's pickles; its failure is everybody's."""
    row = channel.table(pickles.expected)
    row[:] = pickles.lengths
    call_one(channel, "bcast", None, row, root, {}, _TELLING[primitive])
    lengths = row.tolist()
    if _FAILED in lengths:
        raise pickles.error(primitive, f"rank {root}") from pickles.problem
    return lengths


def _lengths(channel: Channel, pickles: _Pickles, primitive: str) -> list[int]:
    """The length of everybody's one pickle; a failure is everybody's."""
    lengths = _exchange(channel, pickles, primitive)[:, 0].tolist()
    if _FAILED in lengths:
        raise pickles.error(primitive, f"rank {lengths.index(_FAILED)}") from pickles.problem
    return lengths


def _exchanged(channel: Channel, pickles: _Pickles, primitive: str) -> np.ndarray:
    """The lengths of everybody's pickles, one row per rank; a failure is everybody's."""
    matrix = _exchange(channel, pickles, primitive)
    if matrix.min() == _FAILED:
        rank = int(np.flatnonzero((matrix == _FAILED).any(axis=1))[0])
        raise pickles.error(primitive, f"rank {rank}") from pickles.problem
    return matrix


def _exchange(channel: Channel, pickles: _Pickles, primitive: str) -> np.ndarray:
    row = channel.table(pickles.expected)
    row[:] = pickles.lengths
    matrix = channel.table(channel.p, row.size)
    call_pair(channel, "allgather", None, row, matrix, None, None, {}, _TELLING[primitive])
    return matrix


class _Pickles:
    """The pickles of the objects that this rank sends.

    Attributes
    ----------
    expected : int
        How many there have to be.
    lengths : list of int
        Of each pickle; `_FAILED` if there are none to send.
    problem : Exception or None
        Why there are none.
    """

    def __init__(self, objects: Any, expected: int):
        self.expected = expected
        self.problem: Exception | None = None
        self._pieces: list[bytes] = []
        try:
            self._pieces = [MPI.pickle.dumps(each) for each in objects]
            if len(self._pieces) != expected:
                self.problem = ValueError(f"{len(self._pieces)} objects instead of {expected}")
        except Exception as error:
            self.problem = error
        fine = self.problem is None
        self.lengths = [len(piece) for piece in self._pieces] if fine else [_FAILED] * expected

    def joined(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def error(self, primitive: str, who: str) -> ArgumentError:
        needed = (
            "a picklable object" if self.expected == 1 else f"{self.expected} picklable objects"
        )
        return ArgumentError(
            f"{primitive}: needs {needed} from {who}, got others; its own error says why"
        )


def _combined(op: Op, objects: Sequence[Any]) -> Any:
    """The reduction of objects, in order."""
    if not isinstance(op, Operator):
        return reduce(op, objects)
    if op is not REPRODUCIBLE_SUM:
        needed = "op must be a function, an MPI.Op or REPRODUCIBLE_SUM"
        raise ArgumentError(f"reduction of objects: {needed}, got {op.name}", mpi_class="ERR_OP")
    try:
        rows = np.array(objects)
        total = binned.rounded(binned.summed(rows), rows.dtype).reshape(rows.shape[1:])
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{op.name} of objects: {error}", mpi_class="ERR_OP") from error
    return total if total.ndim else total.item()


def _split(whole: np.ndarray, lengths: list[int]) -> list[Any]:
    """The objects in a row of pickles."""
    memory = whole.data
    starts = accumulate(lengths, initial=0)
    return [MPI.pickle.loads(memory[at : at + n]) for at, n in zip(starts, lengths)]
