"""The object forms: any picklable object, any Python operator.

An object travels as its pickle. The ranks tell each other the lengths first, and with
them objects that are short (see `collectives.mpi.plans.envelopes`); then the bytes move by the
same algorithms as buffers of uneven blocks. Reductions collect the objects and combine
them in rank order: the result depends on no algorithm, and an operator need not commute.
`algorithm=` then is that of the gather, or in scan and exscan of the allgather, which
collects them. Where an algorithm is asked for, short objects take it, too.

`mpi4py.util.pkl5.Intracomm(comm)` of a `Comm` has its handle and mpi4py's object forms,
not ours. It is of use for objects beyond 2 GiB where MPI is older than 4.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms import PRIMITIVES
from collectives.catalogue import DEFAULTS
from collectives.errors import ArgumentError
from collectives.mpi.data.arguments import check_root
from collectives.mpi.engines.shield import shielded
from collectives.mpi.plans.channel import Channel
from collectives.mpi.plans.dispatch import call
from collectives.mpi.plans.envelopes import FAILED, Envelopes, words_for
from collectives.operators import binned
from collectives.operators.operator import Operator

Op = MPI.Op | Operator | Callable[[Any, Any], Any]

# What a call that exchanges lengths is a part of.
_EXCHANGE = {name: f"lengths of the objects of {name}" for name in PRIMITIVES}


class Objects:
    """The object forms."""

    _algorithms: Mapping[str, str]

    def _channel(self) -> Channel:
        raise NotImplementedError

    def _asks(self, primitive: str, algorithm: str | None, parameters: dict[str, Any]) -> bool:
        """Whether somebody wants to know how the objects travel, or that all ranks agree on it."""
        default = self._algorithms[primitive] == DEFAULTS[primitive]
        asked = algorithm is not None or parameters or not default
        return bool(asked) or self._channel().supervisor.active

    def Ibarrier(self, *, algorithm: str | None = None, **parameters: Any) -> MPI.Request:
        raise NotImplementedError

    def barrier(self, *, algorithm: str | None = None, **parameters: Any) -> None:
        """Leave when every rank has come."""
        call(self, "barrier", algorithm, parameters=parameters)

    def ibarrier(self, *, algorithm: str | None = None, **parameters: Any) -> MPI.Request:
        """`barrier`, started now; every rank has come when the request has ended."""
        return self.Ibarrier(algorithm=algorithm, **parameters)

    @shielded
    def bcast(
        self, obj: Any, root: int = 0, *, algorithm: str | None = None, **parameters: Any
    ) -> Any:
        """The root's object, on all ranks."""
        channel = self._channel()
        here = channel.rank == root
        pickles = _Pickles([obj] if here else [], 1)
        envelopes, lengths = _from_root(channel, pickles, root, "bcast")
        [length] = lengths
        if envelopes.hold(lengths) and not self._asks("bcast", algorithm, parameters):
            return obj if here else envelopes.open(0, length)
        data = pickles.joined() if here else np.empty(length, np.uint8)
        call(self, "bcast", algorithm, (data,), root, parameters=parameters)
        return obj if here else MPI.pickle.loads(data)

    @shielded
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
        envelopes, lengths = _from_root(channel, pickles, root, "scatter")
        if envelopes.hold(lengths) and not self._asks("scatter", algorithm, parameters):
            return envelopes.open(channel.rank, lengths[channel.rank])
        mine = np.empty(lengths[channel.rank], np.uint8)
        source = [pickles.joined(), lengths, None, MPI.BYTE] if here else None
        buffers = source, mine
        call(self, "scatter", algorithm, buffers, root, None, parameters, tuple(lengths))
        return MPI.pickle.loads(mine)

    def gather(
        self, sendobj: Any, root: int = 0, *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any] | None:
        """All ranks' objects, at the root."""
        return self._gather(sendobj, root, algorithm, parameters)

    @shielded
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
        envelopes, lengths = _from_all(channel, pickles, "gather")
        if envelopes.hold(lengths) and not self._asks("gather", algorithm, parameters):
            here = channel.rank == check_root("gather", root, channel.p)
            return [*map(envelopes.open, range(channel.p), lengths)] if here else None
        whole = np.empty(sum(lengths), np.uint8) if channel.rank == root else None
        target = None if whole is None else [whole, lengths, None, MPI.BYTE]
        buffers = pickles.joined(), target
        counts = tuple(lengths)
        call(self, "gather", algorithm, buffers, root, None, parameters, counts, within)
        return None if whole is None else _split(whole, lengths)

    @shielded
    def allgather(
        self, sendobj: Any, *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any]:
        """All ranks' objects, on all ranks."""
        channel = self._channel()
        pickles = _Pickles([sendobj], 1)
        envelopes, lengths = _from_all(channel, pickles, "allgather")
        if envelopes.hold(lengths) and not self._asks("allgather", algorithm, parameters):
            return [*map(envelopes.open, range(channel.p), lengths)]
        whole = np.empty(sum(lengths), np.uint8)
        buffers = pickles.joined(), [whole, lengths, None, MPI.BYTE]
        call(self, "allgather", algorithm, buffers, None, None, parameters, tuple(lengths))
        return _split(whole, lengths)

    @shielded
    def alltoall(
        self, sendobj: Sequence[Any], *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any]:
        """What every rank has for this one, of p objects each."""
        channel = self._channel()
        pickles = _Pickles(sendobj, channel.p)
        envelopes, lengths = _from_all(channel, pickles, "alltoall")
        rank, p = channel.rank, channel.p
        going, coming = lengths[rank * p : (rank + 1) * p], lengths[rank::p]
        if envelopes.hold(lengths) and not self._asks("alltoall", algorithm, parameters):
            return [*map(envelopes.open, range(rank, p * p, p), coming)]
        counts = np.array(lengths).tobytes()
        whole = np.empty(sum(coming), np.uint8)
        source = [pickles.joined(), going, None, MPI.BYTE]
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

    @shielded
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


def _from_root(
    channel: Channel, pickles: _Pickles, root: int, primitive: str
) -> tuple[Envelopes, list[int]]:
    """The envelopes of the root's pickles, and their lengths; its failure is everybody's."""
    expected = pickles.expected
    envelopes = Envelopes(expected, words_for(expected))
    if channel.rank == root:
        envelopes.seal(pickles.pieces)
    call(channel, "bcast", None, (envelopes.table,), root, within=_EXCHANGE[primitive])
    lengths = envelopes.lengths()
    if FAILED in lengths:
        raise pickles.error(primitive, f"rank {root}") from pickles.problem
    return envelopes, lengths


def _from_all(channel: Channel, pickles: _Pickles, primitive: str) -> tuple[Envelopes, list[int]]:
    """The same of everybody's pickles, in order of the ranks; a failure is everybody's."""
    expected, count = pickles.expected, channel.p * pickles.expected
    words = words_for(count)
    mine = Envelopes(expected, words)
    envelopes = Envelopes(count, words)
    mine.seal(pickles.pieces)
    buffers = mine.table, envelopes.table
    call(channel, "allgather", None, buffers, within=_EXCHANGE[primitive])
    lengths = envelopes.lengths()
    if FAILED in lengths:
        who = f"rank {lengths.index(FAILED) // expected}"
        raise pickles.error(primitive, who) from pickles.problem
    return envelopes, lengths


class _Pickles:
    """The pickles of the objects that this rank sends.

    Attributes
    ----------
    expected : int
        How many there have to be.
    pieces : list of bytes or None
        Each pickle; None if there are none to send.
    problem : Exception or None
        Why there are none.
    """

    def __init__(self, objects: Any, expected: int):
        self.expected = expected
        self.pieces: list[bytes] | None = None
        self.problem: Exception | None = None
        try:
            pieces = [MPI.pickle.dumps(each) for each in objects]
            if len(pieces) != expected:
                raise ValueError(f"{len(pieces)} objects instead of {expected}")
            self.pieces = pieces
        except Exception as error:
            self.problem = error

    def joined(self) -> np.ndarray:
        """All of them, end to end."""
        assert self.pieces is not None
        return np.frombuffer(b"".join(self.pieces), np.uint8)

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
    try:
        rows = np.array(objects)
        with np.errstate(all="ignore"):
            if op.widening is None:
                total = _folded(op, rows)
            else:
                total = binned.rounded(binned.summed(rows), rows.dtype).reshape(rows.shape[1:])
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{op.name} of objects: {error}", mpi_class="ERR_OP") from error
    return total if total.ndim else total.item()


def _folded(op: Operator, rows: np.ndarray) -> np.ndarray:
    """The reduction of numbers, or of arrays of one shape, in order."""
    kernel, flat = op.kernel_for(rows.dtype), rows.reshape(len(rows), -1)
    total = flat[0]
    for row in flat[1:]:
        left, total = total, np.empty_like(row)
        kernel(left, row, total)
    return total.reshape(rows.shape[1:])


def _split(whole: np.ndarray, lengths: list[int]) -> list[Any]:
    """The objects in a row of pickles."""
    memory = whole.data
    starts = accumulate(lengths, initial=0)
    return [MPI.pickle.loads(memory[at : at + n]) for at, n in zip(starts, lengths)]
