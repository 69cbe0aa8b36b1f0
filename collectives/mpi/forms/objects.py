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
from typing import Any, NoReturn

import numpy as np
from mpi4py import MPI

from collectives.algorithms import PRIMITIVES
from collectives.catalogue import DEFAULTS
from collectives.errors import ArgumentError
from collectives.mpi.data.arguments import check_root
from collectives.mpi.engines.shield import shielded
from collectives.mpi.forms.outcomes import Told, complete, in_words
from collectives.mpi.plans.channel import Channel
from collectives.mpi.plans.dispatch import call
from collectives.mpi.plans.envelopes import Envelopes, words_for
from collectives.operators import binned
from collectives.operators.operator import Operator

Op = MPI.Op | Operator | Callable[[Any, Any], Any]

# What the user calls, in words.
_CALL = {name: f"{name} (object)" for name in PRIMITIVES}


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
        return self._bcast(obj, root, algorithm, parameters, _CALL["bcast"])

    def _bcast(
        self, obj: Any, root: int, algorithm: str | None, parameters: dict[str, Any], name: str
    ) -> Any:
        channel = self._channel()
        here = _is_here(channel, root)
        pickles = _Pickles([obj] if here else [], 1)
        envelopes, lengths = _from_root(channel, pickles, root, name)
        [length] = lengths
        if envelopes.hold(lengths) and not self._asks("bcast", algorithm, parameters):
            return obj if here else envelopes.open(0, length)
        data = pickles.joined() if here else np.empty(length, np.uint8)
        call(self, "bcast", algorithm, (data,), root, parameters=parameters, title=name)
        return self._complete(name, lambda: obj if here else MPI.pickle.loads(data))

    @shielded
    def scatter(
        self,
        sendobj: Sequence[Any] | None,
        root: int = 0,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Any:
        """This rank's one of the root's p objects; None stands for p times None."""
        channel, name = self._channel(), _CALL["scatter"]
        here = _is_here(channel, root)
        pickles = _Pickles(sendobj if here else [], channel.p)
        envelopes, lengths = _from_root(channel, pickles, root, name)
        if envelopes.hold(lengths) and not self._asks("scatter", algorithm, parameters):
            return envelopes.open(channel.rank, lengths[channel.rank])
        mine = np.empty(lengths[channel.rank], np.uint8)
        source = [pickles.joined(), lengths, None, MPI.BYTE] if here else None
        facts = (source, mine), root, None, parameters, tuple(lengths)
        call(self, "scatter", algorithm, *facts, title=name)
        return self._complete(name, lambda: MPI.pickle.loads(mine))

    @shielded
    def gather(
        self, sendobj: Any, root: int = 0, *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any] | None:
        """All ranks' objects, at the root."""
        name = _CALL["gather"]
        pieces = self._gather(sendobj, root, algorithm, parameters, name)
        return self._complete(name, lambda: None if pieces is None else _loaded(pieces))

    def _gather(
        self,
        sendobj: Any,
        root: int,
        algorithm: str | None,
        parameters: dict[str, Any],
        name: str,
        within: str = "",
    ) -> list[Any] | None:
        """All ranks' pickles, at the root."""
        channel = self._channel()
        pickles = _Pickles([sendobj], 1)
        envelopes, lengths = _from_all(channel, pickles, name)
        if envelopes.hold(lengths) and not self._asks("gather", algorithm, parameters):
            here = channel.rank == check_root("gather", root, channel.p)
            return [*map(envelopes.pickle, range(channel.p), lengths)] if here else None
        whole = np.empty(sum(lengths), np.uint8) if _is_here(channel, root) else None
        target = None if whole is None else [whole, lengths, None, MPI.BYTE]
        facts = (pickles.joined(), target), root, None, parameters, tuple(lengths), within
        call(self, "gather", algorithm, *facts, title=name)
        return None if whole is None else _split(whole, lengths)

    @shielded
    def allgather(
        self, sendobj: Any, *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any]:
        """All ranks' objects, on all ranks."""
        name = _CALL["allgather"]
        pieces = self._allgather(sendobj, algorithm, parameters, name)
        return self._complete(name, lambda: _loaded(pieces))

    def _allgather(
        self, sendobj: Any, algorithm: str | None, parameters: dict[str, Any], name: str
    ) -> list[Any]:
        """All ranks' pickles, on all ranks."""
        channel = self._channel()
        pickles = _Pickles([sendobj], 1)
        envelopes, lengths = _from_all(channel, pickles, name)
        if envelopes.hold(lengths) and not self._asks("allgather", algorithm, parameters):
            return [*map(envelopes.pickle, range(channel.p), lengths)]
        whole = np.empty(sum(lengths), np.uint8)
        buffers = pickles.joined(), [whole, lengths, None, MPI.BYTE]
        facts = buffers, None, None, parameters, tuple(lengths)
        call(self, "allgather", algorithm, *facts, title=name)
        return _split(whole, lengths)

    @shielded
    def alltoall(
        self, sendobj: Sequence[Any] | None, *, algorithm: str | None = None, **parameters: Any
    ) -> list[Any]:
        """What every rank has for this one, of p objects each; None stands for p times None."""
        channel, name = self._channel(), _CALL["alltoall"]
        pickles = _Pickles(sendobj, channel.p)
        envelopes, lengths = _from_all(channel, pickles, name)
        rank, p = channel.rank, channel.p
        going, coming = lengths[rank * p : (rank + 1) * p], lengths[rank::p]
        if envelopes.hold(lengths) and not self._asks("alltoall", algorithm, parameters):
            return [*map(envelopes.open, range(rank, p * p, p), coming)]
        counts = np.array(lengths).tobytes()
        whole = np.empty(sum(coming), np.uint8)
        source = [pickles.joined(), going, None, MPI.BYTE]
        buffers = source, [whole, coming, None, MPI.BYTE]
        call(self, "alltoall", algorithm, buffers, None, None, parameters, counts, title=name)
        return self._complete(name, lambda: _loaded(_split(whole, coming)))

    @shielded
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
        name = _CALL["reduce"]
        pieces = self._gather(sendobj, root, algorithm, parameters, name)
        return self._complete(
            name, lambda: None if pieces is None else _combined(op, _loaded(pieces))
        )

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
        name = _CALL["allreduce"]
        pieces = self._gather(sendobj, 0, algorithm, parameters, name, within=name)
        result = told = problem = None
        if pieces is not None:
            try:
                result = _combined(op, _loaded(pieces))
            except BaseException as error:  # or the others would wait for the result
                problem, told = error, Told.of(error)
        result, told = self._bcast((result, told), 0, None, {}, name)
        if told is not None:
            raise problem or told.raised(name, 0)
        return result

    @shielded
    def scan(
        self,
        sendobj: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Any:
        """The reduction of the objects of ranks 0 .. this one."""
        name = _CALL["scan"]
        pieces = self._allgather(sendobj, algorithm, parameters, name)
        lower = pieces[: self._channel().rank + 1]
        return self._complete(name, lambda: _combined(op, _loaded(lower)))

    @shielded
    def exscan(
        self,
        sendobj: Any,
        op: Op = MPI.SUM,
        *,
        algorithm: str | None = None,
        **parameters: Any,
    ) -> Any:
        """The reduction of the objects of the ranks below this one; None on rank 0."""
        name = _CALL["exscan"]
        pieces = self._allgather(sendobj, algorithm, parameters, name)
        lower = pieces[: self._channel().rank]
        return self._complete(name, lambda: _combined(op, _loaded(lower)) if lower else None)

    def _complete(self, name: str, work: Callable[[], Any]) -> Any:
        channel = self._channel()
        return complete(channel.supervisor, name, channel.rank, work)


def _is_here(channel: Channel, root: Any) -> bool:
    """Whether this rank is the root; what is no rank at all is refused by all together."""
    return isinstance(root, (int, np.integer)) and channel.rank == root


def _from_root(
    channel: Channel, pickles: _Pickles, root: int, name: str
) -> tuple[Envelopes, list[int]]:
    """The envelopes of the root's pickles, and their lengths; its failure is everybody's."""
    expected = pickles.expected
    envelopes = Envelopes(expected, words_for(expected))
    if _is_here(channel, root):
        pickles.put_into(envelopes)
    call(channel, "bcast", None, (envelopes.table,), root, within=name)
    lengths = envelopes.lengths()
    if lengths[0] < 0:
        _refuse(channel, pickles, root, -lengths[0], name)
    return envelopes, lengths


def _from_all(channel: Channel, pickles: _Pickles, name: str) -> tuple[Envelopes, list[int]]:
    """The same of everybody's pickles, in order of the ranks; a failure is everybody's."""
    expected, count = pickles.expected, channel.p * pickles.expected
    words = words_for(count)
    mine = Envelopes(expected, words)
    envelopes = Envelopes(count, words)
    pickles.put_into(mine)
    buffers = mine.table, envelopes.table
    call(channel, "allgather", None, buffers, within=name)
    lengths = envelopes.lengths()
    if min(lengths) < 0:
        first = next(number for number, length in enumerate(lengths) if length < 0)
        _refuse(channel, pickles, first // expected, -lengths[first], name)
    return envelopes, lengths


def _refuse(channel: Channel, pickles: _Pickles, culprit: int, length: int, name: str) -> NoReturn:
    """Raise on all ranks, because one has no pickles to send; it tells the others why."""
    here = channel.rank == culprit
    text = np.frombuffer(pickles.reason, np.uint8) if here else np.empty(length, np.uint8)
    call(channel, "bcast", None, (text,), culprit, within=name)
    if pickles.problem is not None and not isinstance(pickles.problem, Exception):
        raise pickles.problem  # what ends the program
    expected = pickles.expected
    needed = "a picklable object" if expected == 1 else f"{expected} picklable objects"
    raise ArgumentError(
        f"{name}: needs {needed} from rank {culprit}, got {text.tobytes().decode()}; "
        "send what pickle takes"
    ) from pickles.problem


class _Pickles:
    """The pickles of the objects that this rank sends.

    Attributes
    ----------
    expected : int
        How many there have to be.
    pieces : list of bytes
        Each pickle.
    problem : BaseException or None
        Why there are none.
    reason : bytes
        The same in words; empty if there are pickles, or if this rank need not send any.
    """

    def __init__(self, objects: Any, expected: int):
        self.expected = expected
        self.pieces: list[bytes] = []
        self.problem: BaseException | None = None
        self.reason = b""
        if objects is None:  # for every rank, as in mpi4py
            objects = [None] * expected
        try:
            self.pieces = [MPI.pickle.dumps(each) for each in objects]
        except BaseException as error:  # the others have to know, whatever it is
            self.problem, self.reason = error, in_words(error).encode("utf-8", "replace")

    def put_into(self, envelopes: Envelopes) -> None:
        """Put each into an envelope, or the reason why there are none or not enough."""
        if len(self.pieces) != self.expected and not self.reason:
            self.reason = f"{len(self.pieces)} objects".encode()
        if self.reason:
            envelopes.refuse(len(self.reason))
        else:
            envelopes.seal(self.pieces)

    def joined(self) -> np.ndarray:
        """All of them, end to end."""
        return np.frombuffer(b"".join(self.pieces), np.uint8)


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


def _split(whole: np.ndarray, lengths: list[int]) -> list[memoryview]:
    """The pickles that lie in a row."""
    memory = whole.data
    starts = accumulate(lengths, initial=0)
    return [memory[at : at + n] for at, n in zip(starts, lengths)]


def _loaded(pieces: Sequence[Any]) -> list[Any]:
    """The objects of pickles."""
    return [*map(MPI.pickle.loads, pieces)]
