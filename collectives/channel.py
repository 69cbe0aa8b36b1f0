"""A channel: a communicator's private duplicate and the plans made for it.

The duplicate keeps our messages apart from the user's. It is made at the first
collective on a communicator, which all its ranks call, and freed with it.

A plan is found again by everything it depends on: the primitive, the algorithm,
and of each buffer the address, length, dtype and layout. So a plan can not be
stale: memory that another array has taken over is the same memory, and a plan
holds none of it alive. Operators and datatypes that the user made have handles
that may come back with another meaning, so calls with them are not kept; nor
are calls with memory that is not a numpy array's. An algorithm that has been
registered anew is recorded anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives import arguments
from collectives.algorithms.registry import REDUCTIONS, REGISTRY, ROOTED, Algorithm
from collectives.arguments import Arguments, Reader, check_root
from collectives.catalogue import check_parameters, check_restrictions, find
from collectives.engines.blocking import Call, compile_plan, run
from collectives.engines.driver import Process
from collectives.engines.plan import Plan, record
from collectives.errors import ArgumentError
from collectives.mpi_operators import PREDEFINED, operator_of
from collectives.operators import SUM, Operator
from collectives.traffic import Traffic

_Array = np.ndarray
_address = MPI.Get_address

MAX_PLANS = 128
MAX_BYTES = 64 * 2**20
CALL_BYTES = 1024  # what one call of a plan takes with its message and views


class _NotKept(Exception):
    """A call whose plan must not be kept."""


@dataclass(frozen=True)
class Entry:
    """A plan that is ready to run.

    Attributes
    ----------
    algorithm : Algorithm
        What was recorded.
    registered : dict
        Where it was registered, by name.
    plan : Plan
    calls : list of Call
    nbytes : int
        The memory that the entry keeps, roughly.
    """

    algorithm: Algorithm
    registered: dict[str, Algorithm]
    plan: Plan
    calls: list[Call]
    nbytes: int


class Channel:
    """What the library knows about one communicator."""

    def __init__(self, comm: MPI.Intracomm):
        self.comm = MPI.Intracomm(comm).Dup()
        self.rank = comm.Get_rank()
        self.p = comm.Get_size()
        self.entries: dict[tuple, Entry] = {}
        self.nbytes = 0
        self.tables: dict[tuple[int, ...], np.ndarray] = {}

    @cached_property
    def traffic(self) -> Traffic:
        """Its operations in flight."""
        return Traffic(self.comm)

    def close(self) -> None:
        """Give everything back to MPI; what is in flight comes to its end first."""
        self.entries.clear()
        self.traffic.close()

    def table(self, *shape: int) -> np.ndarray:
        """Space for counts: always the same, so that the plans that fill it are found again."""
        if shape not in self.tables:
            self.tables[shape] = np.empty(shape, np.int64)
        return self.tables[shape]

    def choose(
        self, primitive: str, spec: str | None, parameters: dict[str, Any]
    ) -> tuple[Algorithm, dict[str, Any]]:
        """Look up an algorithm and its parameters; check all that is not in the buffers."""
        algorithm, given = find(primitive, spec)
        given.update({name: _plain(value) for name, value in parameters.items()})
        check_parameters(algorithm, given)
        check_restrictions(algorithm, self.p)
        return algorithm, given

    def call(
        self,
        primitive: str,
        algorithm: str | None,
        buffers: Sequence[Any],
        root: int | None = None,
        op: MPI.Op | None = None,
        parameters: dict[str, Any] | None = None,
        counts: tuple[int, ...] | bytes | None = None,
    ) -> None:
        """Carry out one collective; replay its plan if there is one.

        `buffers` is what the primitive's function in `arguments` takes, and
        `counts` is described at its `Reader`.
        """
        # 1, 1.0 and True make the same key, but are not all right.
        if type(root) is not int and root is not None:
            root = check_root(str(find(primitive, algorithm)[0]), root, self.p)
        key: tuple | None
        try:
            facts = [
                (_address(x), x.size, x.dtype, x.flags.num) if type(x) is _Array else _fact(x)
                for x in buffers
            ]
            key = (primitive, algorithm, root, counts, _PREDEFINED[id(op)], *facts)
            if parameters:
                key += tuple([(name, type(x), x) for name, x in parameters.items()])
            entry = self.entries.get(key)
        except (_NotKept, KeyError, TypeError, ValueError, BufferError):
            key = entry = None
        if entry is None or entry.registered.get(entry.algorithm.name) is not entry.algorithm:
            entry = self._prepare(primitive, algorithm, buffers, root, op, parameters or {}, counts)
            if key is not None:
                self._keep(key, entry)
        run(entry.calls)

    def _prepare(
        self,
        primitive: str,
        spec: str | None,
        buffers: Sequence[Any],
        root: int | None,
        op: MPI.Op | None,
        parameters: dict[str, Any],
        counts: tuple[int, ...] | bytes | None,
    ) -> Entry:
        """Check everything, then record and compile the plan."""
        algorithm, plan, operator = self.record(
            primitive, spec, buffers, root, op, parameters, counts
        )
        calls, packed_bytes = compile_plan(plan, self.comm, operator)
        nbytes = plan.scratch_bytes + packed_bytes + CALL_BYTES * len(calls)
        return Entry(algorithm, REGISTRY[primitive], plan, calls, nbytes)

    def record(
        self,
        primitive: str,
        spec: str | None,
        buffers: Sequence[Any],
        root: int | None,
        op: MPI.Op | None,
        parameters: dict[str, Any],
        counts: tuple[int, ...] | bytes | None,
    ) -> tuple[Algorithm, Plan, Operator]:
        """Check everything, then record the plan, for any engine."""
        algorithm, given = self.choose(primitive, spec, parameters)
        title = str(algorithm)
        if primitive in ROOTED:
            root = check_root(title, root, self.p)
        reader = Reader(title, self.rank, self.p, root, counts)
        read = arguments.READERS[primitive](reader, *buffers)
        operator = SUM
        if primitive in REDUCTIONS:
            assert read.like is not None
            operator = operator_of(title, op, read.like.view.dtype, read.like.datatype)
        check_restrictions(algorithm, self.p, operator.commutative)
        values = list(read.values)
        if primitive in ROOTED:
            values.append(root)
        if algorithm.needs_counts:
            values.append(read.counts)
        generator = algorithm.generator(self.rank, self.p, *values, **given)
        process = Process(title, self.rank, self.p, _after(read, generator))
        return algorithm, record(process), operator

    def _keep(self, key: tuple, entry: Entry) -> None:
        """Keep a plan; the oldest ones make room."""
        replaced = self.entries.pop(key, None)
        if replaced is not None:
            self.nbytes -= replaced.nbytes
        if entry.nbytes > MAX_BYTES:
            return
        self.entries[key] = entry
        self.nbytes += entry.nbytes
        while len(self.entries) > MAX_PLANS or self.nbytes > MAX_BYTES:
            oldest = self.entries.pop(next(iter(self.entries)))
            self.nbytes -= oldest.nbytes


def _after(read: Arguments, generator: Iterator) -> Iterator:
    """The algorithm, after the copies that its arguments need."""
    if read.prelude:
        yield read.prelude
    yield from generator


def _fact(buf: Any) -> Any:
    """What a plan depends on in one buffer: of data where it is, not what it is.

    `Channel.call` has the line about arrays again, for speed.
    """
    if isinstance(buf, _Array):
        return _address(buf), buf.size, buf.dtype, buf.flags.num
    if buf is None or isinstance(buf, MPI.InPlaceType):
        return type(buf)
    if isinstance(buf, (list, tuple)) and buf and isinstance(buf[0], (_Array, type(None))):
        return _fact(buf[0]), *map(_content, buf[1:])
    raise _NotKept


def _content(value: Any) -> Any:
    """Counts, displacements, datatypes and the like: what they say."""
    if value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return type(value), *map(_content, value)
    if isinstance(value, _Array) and value.dtype.kind in "iu":
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, MPI.Datatype) and value.is_predefined:
        return MPI.Datatype, value.handle
    raise _NotKept


def _plain(value: Any) -> Any:
    """A numpy number as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def channel_of(comm: MPI.Intracomm | Channel) -> Channel:
    """The channel of a communicator, made when it is asked for the first time.

    A channel is its own channel.

    Raises
    ------
    ArgumentError
        `comm` is not an intracommunicator.
    """
    channel = _CHANNELS.get(getattr(comm, "handle", None))
    if channel is None:
        if isinstance(comm, Channel):
            return comm
        if not isinstance(comm, MPI.Intracomm) or comm == MPI.COMM_NULL:
            raise ArgumentError(f"comm must be an intracommunicator, got {comm!r}")
        channel = _CHANNELS[comm.handle] = Channel(comm)
        comm.Set_attr(_KEYVAL, comm.handle)
    return channel


def _free(comm: MPI.Comm, keyval: int, handle: int) -> None:
    """MPI calls this when the communicator is freed; its handle may come again."""
    _CHANNELS.pop(handle).close()


# By handle, which is quicker to look up than MPI's own attribute.
_CHANNELS: dict[int | None, Channel] = {}
_KEYVAL = MPI.Comm.Create_keyval(delete_fn=_free)

# mpi4py keeps these objects, so that their identity stands for them.
_PREDEFINED = {id(op): name for name, op in PREDEFINED.items()} | {id(None): "no operator"}
