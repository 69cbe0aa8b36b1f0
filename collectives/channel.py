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

import atexit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI

from collectives import arguments, settings
from collectives.agreement import Agreement
from collectives.algorithms.registry import (
    AUTO,
    GROUP,
    REDUCTIONS,
    REGISTRY,
    ROOTED,
    Algorithm,
    Generator,
)
from collectives.arguments import Arguments, Reader, check_root
from collectives.catalogue import check_lossy, check_parameters, check_restrictions, find
from collectives.choice import choices, decide
from collectives.engines.blocking import TAG, compile_stages, run
from collectives.engines.driver import Process
from collectives.engines.nonblocking import Operation
from collectives.engines.persistent import Setup
from collectives.engines.plan import Plan, record
from collectives.engines.progress import PROGRESS
from collectives.engines.stages import Call, Stage, local, stages_of
from collectives.errors import ArgumentError, CollectiveError
from collectives.mpi_operators import PREDEFINED, operator_of
from collectives.nodes import detect, grouping
from collectives.operators import SUM, Operator
from collectives.pool import Pool
from collectives.problems import BLOCKWISE
from collectives.settings import Settings
from collectives.traffic import COMPARISON_TAG, REPORT_TAG, Traffic
from collectives.watch import Watch, duplicate

_Array = np.ndarray
_address = MPI.Get_address

MAX_PLANS = 1024
MAX_BYTES = 64 * 2**20
CALL_BYTES = 1024  # what one call of a plan takes with its message and views


class _NotKept(Exception):
    """A call whose plan must not be kept."""


@dataclass
class Entry:
    """A plan that is ready to run. At its second use its messages are set up for good.

    Attributes
    ----------
    asked, algorithm : Algorithm
        What was asked for, and what was recorded: another one for `auto`.
    registered : dict
        Where it was registered, by name.
    description : str
        The call, in words that are the same on all ranks.
    plan : Plan
    operator : Operator
    stages : list of Stage
    calls : list of Call
    nbytes : int
        The memory that the entry keeps, roughly.
    setup : Setup or None
        The persistent requests that `calls` use by then.
    """

    asked: Algorithm
    algorithm: Algorithm
    registered: dict[str, Algorithm]
    description: str
    plan: Plan
    operator: Operator
    stages: list[Stage]
    calls: list[Call]
    nbytes: int
    setup: Setup | None = None

    @property
    def current(self) -> bool:
        """Whether the algorithm has not been registered anew."""
        return self.registered.get(self.algorithm.name) is self.algorithm

    def set_up(self, comm: MPI.Intracomm) -> None:
        """Make persistent requests of the messages: quicker to start than new ones."""
        self.setup = Setup(self.stages, comm, TAG)
        self.calls = self.setup.calls()

    def free(self) -> None:
        """Give the persistent requests back to MPI."""
        if self.setup is not None:
            self.setup.free()
            self.setup = None


class Invocation(NamedTuple):
    """One call of a primitive on one rank.

    Attributes
    ----------
    primitive : str
    algorithm : str or None
        A name, with or without parameters.
    buffers : sequence
        What the primitive's function in `arguments` takes.
    root : int or None
    op : MPI.Op or None
    parameters : dict
    counts : tuple of int, bytes or None
        Described at `arguments.Reader`.
    within : str
        What the call is a part of, if it is not the user's own.
    """

    primitive: str
    algorithm: str | None
    buffers: Sequence[Any]
    root: int | None = None
    op: MPI.Op | None = None
    parameters: dict[str, Any] | None = None
    counts: tuple[int, ...] | bytes | None = None
    within: str = ""


@dataclass(frozen=True)
class Attempt:
    """What became of a call on this rank: an entry that can run, or a problem."""

    name: str
    algorithm: Algorithm | None = None
    entry: Entry | None = None
    problem: CollectiveError | None = None

    @classmethod
    def of(cls, entry: Entry) -> Attempt:
        # What was asked for is what a rank knows, too, that has a problem.
        return cls(entry.description, entry.asked, entry)

    def result(self) -> Entry:
        """The entry; raises the problem if there is one."""
        if self.entry is None:
            assert self.problem is not None
            raise self.problem
        return self.entry


class Channel:
    """What the library knows about one communicator."""

    def __init__(self, comm: MPI.Intracomm, wanted: Settings):
        self.comm = duplicate(comm, wanted.timeout)
        self.rank = comm.Get_rank()
        self.p = comm.Get_size()
        self.entries: dict[tuple, Entry] = {}
        self.nbytes = 0
        self.tables: dict[tuple[int, ...], np.ndarray] = {}
        self.agreements: list[Agreement] = []
        self.agreed: set[Generator] = set()
        self.settings = Settings()
        self.careful = False
        self.number = 0  # of calls, while we are careful
        self.watch: Watch | None = None
        self.told: CollectiveError | None = None  # the last that all ranks have got
        self.nodes = detect(self.comm)  # now, while all ranks are here
        self.configure(wanted)

    def configure(self, wanted: Settings) -> None:
        """Check and limit calls from now on, or stop it.

        Raises
        ------
        CallMismatch
            The ranks want different things.
        """
        self._run(self._agree(f"Comm with {wanted}", None))
        if self.watch is not None and wanted.timeout != self.settings.timeout:
            self.watch.close()
            self.watch = None
        self.settings, self.careful = wanted, wanted.careful
        if wanted.timeout is not None and self.watch is None:
            self.watch = Watch(self.comm, REPORT_TAG, wanted.timeout)

    @cached_property
    def idle(self) -> Pool:
        """Stages of nonblocking calls, to be used again."""
        return Pool()

    @cached_property
    def traffic(self) -> Traffic:
        """Its operations in flight."""
        return Traffic(self.comm)

    def close(self) -> None:
        """Give everything back to MPI; what is in flight comes to its end first."""
        if self.watch is not None:
            self.watch.close()
            if self.watch.verdict:
                return  # messages without an end keep the communicator
        self.finish()
        self.forget()
        self.traffic.close()

    def finish(self) -> None:
        """Wait for the nonblocking operations in flight."""
        for operation in list(self.traffic.operations.values()):
            self.wait(operation, "a nonblocking collective in flight", None)

    def forget(self) -> None:
        """Drop all plans."""
        for entry in self.entries.values():
            entry.free()
        self.entries.clear()
        self.nbytes = 0

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
        within: str = "",
    ) -> None:
        """Carry out one collective; replay its plan if there is one.

        The arguments are described at `Invocation`.
        """
        if self.careful:
            self._call_carefully(
                Invocation(primitive, algorithm, buffers, root, op, parameters, counts, within)
            )
            return
        key = self.key(primitive, algorithm, buffers, root, op, parameters, counts)
        entry = None if key is None else self.entries.get(key)
        if entry is None or not entry.current:
            entry = self._prepare(
                key, Invocation(primitive, algorithm, buffers, root, op, parameters, counts, within)
            )
        elif entry.setup is None:
            entry.set_up(self.comm)
        run(entry.calls)

    def _prepare(self, key: tuple | None, call: Invocation) -> Entry:
        """Check everything, together with the other ranks the first time; make a plan."""
        attempt = self.attempt(call)
        if self._is_new(attempt):
            self._run(self.compare(attempt, call.within))
        entry = attempt.result()
        if key is not None:
            self._keep(key, entry)
        return entry

    def _call_carefully(self, call: Invocation) -> None:
        """`call` where the ranks compare their calls, or where time is limited."""
        attempt = self._find(call)
        number = self.begin(attempt.name, call.within)

        def stages() -> Iterator[Stage]:
            if self.settings.check or self._is_new(attempt):
                yield from self.compare(attempt, call.within, number)
            yield from attempt.result().stages

        self.carry_out(stages(), attempt.name, number)

    def begin(self, name: str, within: str = "") -> int:
        """The number of a call of the user's; what is done within it has the same.

        Raises
        ------
        Timeout
            An earlier call did not end in time.
        """
        number = self.number + 1
        if not within:
            self.number = number
        if self.watch is not None:
            self.watch.begin(name, number)
        return number

    def carry_out(self, stages: Iterator[Stage], name: str, number: int) -> None:
        """Carry out stages, within the time limit if there is one."""
        operation = self.traffic.launch(stages, _nothing)
        self.wait(operation, name, number)
        if operation.error is not None:
            self.number = number  # the call is over, even if this was only a part of it
            if isinstance(operation.error, CollectiveError):
                self.told = operation.error
            raise operation.error

    def wait(self, operation: Operation, name: str, number: int | None) -> None:
        """Wait for an operation, within the time limit if there is one."""
        if self.watch is None:
            PROGRESS.wait(operation)
        else:
            self.watch.wait(operation, name, number)

    def compare(
        self, attempt: Attempt, within: str = "", number: int | None = None
    ) -> Iterator[Stage]:
        """What it takes to raise on all ranks if one has a problem or calls differ."""
        name = f"{within}: {attempt.name}" if within else attempt.name
        told = name if number is None else f"{name}, call {number}"
        yield from self._agree(told, attempt.problem)
        if attempt.algorithm is not None:
            self.agreed.add(attempt.algorithm.generator)

    def _agree(self, name: str, problem: CollectiveError | None) -> Iterator[Stage]:
        agreement = self.agreements.pop() if self.agreements else Agreement(self.comm)
        yield from agreement.stages(name, problem)
        self.agreements.append(agreement)

    def _run(self, stages: Iterator[Stage]) -> None:
        for stage in stages:
            run(compile_stages([stage], self.comm, COMPARISON_TAG))

    def _is_new(self, attempt: Attempt) -> bool:
        return attempt.algorithm is not None and attempt.algorithm.generator not in self.agreed

    @contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Let the other ranks know of an error in what surrounds a call, if they compare calls."""
        try:
            yield
        except CollectiveError as error:
            if self.settings.check and error is not self.told:
                self.carry_out(self._agree("", error), name, self.number + 1)
            raise

    def attempt(self, call: Invocation) -> Attempt:
        """Check everything on this rank alone, and make a plan; nothing is sent."""
        primitive, spec, buffers, root, op, parameters, counts, _ = call
        try:
            algorithm, given = self.choose(primitive, spec, parameters or {})
        except CollectiveError as error:
            return Attempt(primitive, None, None, error)
        try:
            entry = self._record(algorithm, given, buffers, root, op, counts)
        except CollectiveError as error:
            return Attempt(str(algorithm), algorithm, None, error)
        return Attempt.of(entry)

    def _find(self, call: Invocation) -> Attempt:
        """`attempt`, unless the plan is there already."""
        try:
            key = self.key(*call[:-1])
        except CollectiveError as error:
            return Attempt(call.primitive, None, None, error)
        entry = None if key is None else self.entries.get(key)
        if entry is not None and entry.current:
            return Attempt.of(entry)
        attempt = self.attempt(call)
        if key is not None and attempt.entry is not None:
            self._keep(key, attempt.entry)
        return attempt

    def key(
        self,
        primitive: str,
        algorithm: str | None,
        buffers: Sequence[Any],
        root: int | None,
        op: MPI.Op | None,
        parameters: dict[str, Any] | None,
        counts: tuple[int, ...] | bytes | None,
    ) -> tuple | None:
        """All that the plan of a call depends on; None if it must not be kept."""
        # 1, 1.0 and True make the same key, but are not all right.
        if type(root) is not int and root is not None:
            root = check_root(str(find(primitive, algorithm)[0]), root, self.p)
        try:
            key: tuple = (primitive, algorithm, root, counts, _PREDEFINED[id(op)], _facts(buffers))
            if parameters:
                key += tuple([(name, type(x), x) for name, x in parameters.items()])
                hash(key)  # a parameter may have none
        except (_NotKept, KeyError, TypeError, ValueError, BufferError):
            return None
        return key

    def _record(
        self,
        algorithm: Algorithm,
        parameters: Mapping[str, Any],
        buffers: Sequence[Any],
        root: int | None,
        op: MPI.Op | None,
        counts: tuple[int, ...] | bytes | None,
    ) -> Entry:
        """Check the root and the buffers, record the algorithm's rounds, and compile them."""
        title = str(algorithm)
        if algorithm.primitive in ROOTED:
            root = check_root(title, root, self.p)
        reduces = algorithm.primitive in REDUCTIONS
        reader = Reader(title, self.rank, self.p, root, counts, reduces)
        read = arguments.READERS[algorithm.primitive](reader, *buffers)
        operator = SUM
        if reduces:
            assert read.like is not None
            operator = operator_of(title, op, read.like.element)
        asked, nbytes = algorithm, _whole_bytes(algorithm, read)
        algorithm, parameters = decide(asked, parameters, self.p, nbytes, operator.commutative)
        title = str(algorithm)
        groups, own = self._groups(algorithm, parameters)
        check_restrictions(algorithm, self.p, operator.commutative, groups)
        if algorithm.lossy:
            assert read.like is not None
            check_lossy(algorithm, self.p, operator, read.like.view.dtype)
        values = list(read.values)
        if algorithm.primitive in ROOTED:
            values.append(root)
        if algorithm.needs_counts:
            values.append(read.counts)
        if algorithm.needs_groups:
            values.append(groups)
        generator = algorithm.generator(self.rank, self.p, *values, **own)
        plan = record(Process(title, self.rank, self.p, _after(read, generator)))
        stages = [*local(reader.before), *stages_of(plan, operator), *local(reader.after)]
        calls = compile_stages(stages, self.comm)
        packed_bytes = sum(stage.packed_bytes for stage in stages)
        nbytes = plan.scratch_bytes + packed_bytes + CALL_BYTES * len(calls)
        description = _description(algorithm, parameters, read, root, operator, counts)
        if asked.name == AUTO:
            description += f" chosen by {choices().name}"
        where = REGISTRY[algorithm.primitive]
        return Entry(asked, algorithm, where, description, plan, operator, stages, calls, nbytes)

    def _groups(
        self, algorithm: Algorithm, parameters: Mapping[str, Any]
    ) -> tuple[tuple[int, ...] | None, Mapping[str, Any]]:
        """The groups of an algorithm that asks for them, and its other parameters."""
        if not algorithm.needs_groups:
            return None, parameters
        others = {name: value for name, value in parameters.items() if name != GROUP}
        group = parameters.get(GROUP)
        if group is not None:
            return grouping(str(algorithm), self.p, group), others
        return self.nodes, others

    def _keep(self, key: tuple, entry: Entry) -> None:
        """Keep a plan; the oldest ones make room."""
        replaced = self.entries.pop(key, None)
        if replaced is not None:
            replaced.free()
            self.nbytes -= replaced.nbytes
        if entry.nbytes > MAX_BYTES:
            return
        self.entries[key] = entry
        self.nbytes += entry.nbytes
        while len(self.entries) > MAX_PLANS or self.nbytes > MAX_BYTES:
            oldest = self.entries.pop(next(iter(self.entries)))
            oldest.free()
            self.nbytes -= oldest.nbytes


def _whole_bytes(algorithm: Algorithm, read: Arguments) -> int:
    """Bytes of the whole vector, the same on all ranks; those of a rank's share in alltoall."""
    if read.like is None:
        return 0
    elements = read.like.view.size
    if algorithm.primitive == "alltoall":
        elements = int(np.sum(read.counts)) // len(read.counts)
    elif algorithm.primitive in BLOCKWISE:
        elements = sum(read.counts)
    return elements * read.like.view.itemsize


def _description(
    algorithm: Algorithm,
    parameters: Mapping[str, Any],
    read: Arguments,
    root: int | None,
    operator: Operator,
    counts: tuple[int, ...] | bytes | None,
) -> str:
    """A call in words, as far as all ranks must say the same."""
    if read.like is None:
        return str(algorithm)
    given = [f"{name} {value}" for name, value in parameters.items()]
    given += [] if root is None else [f"root {root}"]
    given += [operator.name] if algorithm.primitive in REDUCTIONS else []
    if algorithm.primitive not in BLOCKWISE:
        given.append(f"{read.like.view.size} elements")
    elif algorithm.tree is not None and counts is not None:
        given.append("blocks of as many elements as the root has told")
    elif algorithm.primitive != "alltoall":
        given.append(f"blocks of {', '.join(map(str, read.counts))} elements")
    given.append(f"{read.like.view.dtype}")
    return f"{algorithm} ({', '.join(given)})"


def _after(read: Arguments, generator: Iterator) -> Iterator:
    """The algorithm, after the copies that its arguments need."""
    if read.prelude:
        yield read.prelude
    yield from generator


def _facts(buffers: Sequence[Any]) -> tuple:
    """What a plan depends on in its buffers."""
    if len(buffers) == 2:
        one, two = buffers
        if type(one) is _Array is type(two):  # the most frequent case, spelled out for speed
            here, there = one.flags.num, two.flags.num
            return (
                _address(one), one.size, one.dtype, here, _address(two), two.size, two.dtype, there
            )  # fmt: skip
    return tuple([_fact(buf) for buf in buffers])


def _fact(buf: Any) -> Any:
    """What a plan depends on in one buffer: of data where it is, not what it is."""
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
        if isinstance(comm, MPI.Intracomm) and not comm:
            comm.Get_size()  # it has been freed: raises mpi4py's own error
        if not isinstance(comm, MPI.Intracomm):
            raise ArgumentError(
                f"comm must be an intracommunicator, got {comm!r}", mpi_class="ERR_COMM"
            )
        wanted = getattr(comm, "_settings", None) or settings.from_environment()
        channel = _open(comm, wanted)
    return channel


def configure(comm: MPI.Intracomm, check: bool | None, timeout: float | None) -> None:
    """Check and limit a communicator's calls; None leaves what there is. Collective.

    Raises
    ------
    CallMismatch
        The ranks want different things.
    """
    channel = _CHANNELS.get(comm.handle)
    if channel is None:
        _open(comm, settings.from_environment().but(check, timeout))
    else:
        channel.configure(channel.settings.but(check, timeout))


def _open(comm: MPI.Intracomm, wanted: Settings) -> Channel:
    channel = _CHANNELS[comm.handle] = Channel(comm, wanted)
    comm.Set_attr(_KEYVAL, comm.handle)
    return channel


def _free(comm: MPI.Comm, keyval: int, handle: int) -> None:
    """MPI calls this when the communicator is freed; its handle may come again."""
    _CHANNELS.pop(handle).close()


def _nothing() -> None:
    pass


@atexit.register
def _leave() -> None:
    """Persistent requests must be gone before MPI is finalized."""
    if MPI.Is_finalized():
        return
    for channel in _CHANNELS.values():
        if channel.watch is not None:
            channel.watch.leave()
        if channel.watch is None or not channel.watch.verdict:
            channel.forget()


# By handle, which is quicker to look up than MPI's own attribute.
_CHANNELS: dict[int | None, Channel] = {}
_KEYVAL = MPI.Comm.Create_keyval(delete_fn=_free)

# mpi4py keeps these objects, so that their identity stands for them.
_PREDEFINED = {id(op): name for name, op in PREDEFINED.items()} | {id(None): "no operator"}
