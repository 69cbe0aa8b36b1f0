"""A channel: a communicator's private duplicate and the plans made for it.

The duplicate keeps our messages apart from the user's. It is made at the first
collective on a communicator, which all its ranks call, and freed with it.

A call comes here from `collectives.mpi.plans.dispatch` unless it finds its plan there. It is
checked and recorded, or, if there is a plan under its key already, made ready to be
found there. An algorithm that has been registered anew is recorded anew.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms import PRIMITIVES
from collectives.algorithms.language import registry
from collectives.algorithms.language.registry import Generator
from collectives.catalogue import DEFAULTS, find
from collectives.engines.packing import Call
from collectives.errors import ArgumentError, CollectiveError
from collectives.mpi.data.arguments import check_root
from collectives.mpi.data.nodes import detect
from collectives.mpi.engines.calls import compile_stages, run
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import PROGRESS
from collectives.mpi.engines.stages import Stage
from collectives.mpi.guards import settings
from collectives.mpi.guards.agreement import Agreement
from collectives.mpi.guards.settings import Settings
from collectives.mpi.guards.watch import Watch, duplicate
from collectives.mpi.plans.envelopes import Envelopes
from collectives.mpi.plans.keys import NOT_KEPT, Key, Shape, arrays_of, key_of
from collectives.mpi.plans.pool import Pool
from collectives.mpi.plans.recording import Attempt, Entry, Invocation, Pattern, Recorder
from collectives.mpi.plans.traffic import COMPARISON_TAG, REPORT_TAG, Flight, Traffic

MAX_PLANS = 1024
MAX_BYTES = 64 * 2**20
FEW_BYTES = 2**14  # what objects take that are worth a plan

Replays = dict[tuple | None, list[Call]]


class Channel:
    """What the library knows about one communicator."""

    def __init__(self, comm: MPI.Intracomm, wanted: Settings):
        self.handle: int | None = comm.handle  # we are found by ourselves, too, until we close
        self.comm = duplicate(comm, wanted.timeout)
        self.rank = comm.Get_rank()
        self.p = comm.Get_size()
        self.entries: dict[Key | None, Entry] = {}  # never under None
        self._replays: Replays = {}  # of entries used again; none if careful
        self._others: dict[tuple[str, ...], Replays] = {}  # the same under other defaults
        self.revision = registry.revision
        self.nbytes = 0
        self.patterns: dict[Shape, Pattern] = {}
        self.seen: set[Key] = set()  # calls for which a pattern has been used, once
        self.learned_bytes = 0  # of the patterns; plans made from one share its scratch memory
        self.tables: dict[tuple[int, ...], np.ndarray] = {}
        self.spaces: dict[str, np.ndarray] = {}
        self._envelopes: dict[tuple[str, int, int], Envelopes] = {}
        self.counts: dict[tuple | None, tuple[int, ...]] = {}  # never under None
        self.agreements: list[Agreement] = []
        self.agreed: set[Generator] = set()
        self.settings = Settings()
        self.careful = False
        self.number = 0  # of calls, while we are careful
        self.watch: Watch | None = None
        self.told: CollectiveError | None = None  # the last that all ranks have got
        nodes = detect(self.comm)  # now, while all ranks are here
        self.recorder = Recorder(self.rank, self.p, nodes)
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
        for replays in (self._replays, *self._others.values()):
            replays.clear()
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
        self.handle = None
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
            self.waiter("a nonblocking collective in flight", None)(operation)

    def replays(self, defaults: Mapping[str, str]) -> Replays:
        """What is ready to be replayed where calls that name no algorithm take these."""
        if defaults is DEFAULTS:
            return self._replays
        return self._others.setdefault(tuple(defaults[name] for name in PRIMITIVES), {})

    def forget(self) -> None:
        """Drop all plans and patterns."""
        self.patterns.clear()
        self.learned_bytes = 0
        self.drop_plans()

    def drop_plans(self) -> None:
        """Drop all plans; the next calls like theirs make them from patterns."""
        self.seen.clear()
        for key in list(self.entries):
            self._drop(key)

    def table(self, *shape: int) -> np.ndarray:
        """Space for counts: always the same, so that the plans that fill it are found again."""
        if shape not in self.tables:
            self.tables[shape] = np.empty(shape, np.int64)
        return self.tables[shape]

    def envelopes(self, name: str, count: int, words: int) -> Envelopes:
        """Space for envelopes: always the same under a name for the same numbers, as above."""
        key = name, count, words
        if key not in self._envelopes:
            self._envelopes[key] = Envelopes(count, words)
        return self._envelopes[key]

    def counts_in(
        self, buffers: Sequence[Any], read: Callable[[], Sequence[int]], what: object
    ) -> Sequence[int]:
        """The counts in buffers, as `read` tells them: asked once while they are the same."""
        key = self.key_of(Invocation(str(what), "counts", buffers))
        found = self.counts.get(key)
        if found is None:
            found = tuple(read())
            if key is not None:
                if len(self.counts) == MAX_PLANS:
                    self.counts.clear()
                self.counts[key] = found
        return found

    def space(self, name: str, nbytes: int) -> np.ndarray:
        """Space for bytes: unless they are many, always the same under a name, as above."""
        if nbytes > FEW_BYTES:
            return np.empty(nbytes, np.uint8)
        if name not in self.spaces:
            self.spaces[name] = np.empty(FEW_BYTES, np.uint8)
        return self.spaces[name][:nbytes]

    def outgoing(self, data: bytes) -> np.ndarray:
        """The same bytes to be sent: in a `space` unless they are many."""
        source = np.frombuffer(data, np.uint8)
        if source.size > FEW_BYTES:
            return source
        space = self.space("out", source.size)
        space[:] = source
        return space

    def carry_out(self, invocation: Invocation, replays: Replays, shortcut: tuple | None) -> None:
        """Carry out one collective, by its plan or a new one.

        Parameters
        ----------
        invocation : Invocation
        replays : dict
            Gets the calls of a plan that has come again.
        shortcut : tuple or None
            What to put them under, if the plan may be kept.
        """
        if self.careful:
            self._call_carefully(invocation)
            return
        key = self.key_of(invocation)
        entry = self.entries.get(key)
        if entry is None:
            stages = self._moved(key)
            if stages is None:
                entry = self._prepare(key, invocation)  # keeps what the messages are addresses of
                stages = entry.stages
            run(compile_stages(stages, self.comm))
        else:
            calls = entry.set_up(self.comm)
            if shortcut is not None:
                replays[shortcut] = calls
                entry.shortcuts.append((replays, shortcut))
            run(calls)

    def key_of(self, invocation: Invocation) -> Key | None:
        """The key of a call; None if its plan must not be kept.

        Raises
        ------
        ArgumentError
            The root is wrong: 1, 1.0 and True make the same key, but are not all right.
        """
        root = invocation.root
        if root is not None and type(root) is not int:
            title = str(find(invocation.primitive, invocation.algorithm)[0])
            invocation = invocation._replace(root=check_root(title, root, self.p))
        try:
            key = key_of(*invocation[:-1])
            hash(key)  # a parameter may have none
        except NOT_KEPT:
            return None
        return key

    def _moved(self, key: Key | None) -> list[Stage] | None:
        """The stages of a call like another one, if it comes for the first time.

        It may never come again, so that they are not kept.
        """
        if key is None or key in self.seen or key[0] not in self.patterns:
            return None
        if len(self.seen) == MAX_PLANS:
            self.seen.clear()
        self.seen.add(key)
        return self.patterns[key[0]].stages_at(key[1])

    def _prepare(self, key: Key | None, invocation: Invocation) -> Entry:
        """A plan like that of another call, or a new one.

        For a new one everything is checked, together with the other ranks the first time.
        """
        if key is None:
            return self._record(invocation)
        shape, addresses = key
        pattern = self.patterns.get(shape)
        entry = None if pattern is None else pattern.at(addresses)
        if entry is None:
            entry = self._record(invocation)
            if pattern is None:
                self._learn(shape, Pattern.of(entry, arrays_of(invocation.buffers)))
        self._keep(key, entry)
        return entry

    def _record(self, invocation: Invocation) -> Entry:
        attempt = self.recorder.attempt(invocation)
        if self._is_new(attempt):
            self._run(self.compare(attempt, invocation.within))
        return attempt.result()

    def _learn(self, shape: Shape, pattern: Pattern | None) -> None:
        """Keep a pattern, if there is one; when there are too many, begin again."""
        if pattern is None or pattern.entry.nbytes > MAX_BYTES:
            return
        nbytes = self.learned_bytes + pattern.entry.nbytes
        if nbytes > MAX_BYTES or len(self.patterns) == MAX_PLANS:
            self.patterns.clear()
            nbytes = pattern.entry.nbytes
        self.patterns[shape] = pattern
        self.learned_bytes = nbytes

    def _call_carefully(self, invocation: Invocation) -> None:
        """`call` where the ranks compare their calls, or where time is limited."""
        attempt = self._find(invocation)
        number = self.begin(attempt.name, invocation.within)

        def stages() -> Iterator[Stage]:
            if self.settings.check or self._is_new(attempt):
                yield from self.compare(attempt, invocation.within, number)
            yield from attempt.result().stages

        self.see_through(stages(), attempt.name, number)

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

    def see_through(self, stages: Iterator[Stage], name: str, number: int) -> None:
        """Carry out stages, within the time limit if there is one."""
        operation = Flight(self.traffic, stages)
        self.waiter(name, number)(operation)
        if operation.error is not None:
            self.number = number  # the call is over, even if this was only a part of it
            if isinstance(operation.error, CollectiveError):
                self.told = operation.error
            raise operation.error

    def waiter(self, name: str, number: int | None) -> Callable[[Operation], None]:
        """What waits for an operation, within the time limit if there is one by then."""

        def wait(operation: Operation) -> None:
            if self.watch is None:
                PROGRESS.wait(operation)
            else:
                self.watch.wait(operation, name, number)

        return wait

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
                self.see_through(self._agree("", error), name, self.number + 1)
            raise

    def _find(self, invocation: Invocation) -> Attempt:
        """A plan that is there already, or a new one; nothing is sent."""
        try:
            key = self.key_of(invocation)
        except CollectiveError as error:
            return Attempt(invocation.primitive, None, None, error)
        entry = self.entries.get(key)
        if entry is not None:
            return Attempt.of(entry)
        attempt = self.recorder.attempt(invocation)
        if key is not None and attempt.entry is not None:
            self._keep(key, attempt.entry)
        return attempt

    def _keep(self, key: Key, entry: Entry) -> None:
        """Keep a plan; those of algorithms before a registration, and the oldest, make room."""
        if self.revision != registry.revision:
            self.forget()
            self.revision = registry.revision
        if key in self.entries:
            self._drop(key)
        if entry.nbytes > MAX_BYTES:
            return
        self.entries[key] = entry
        self.nbytes += entry.nbytes
        while len(self.entries) > MAX_PLANS or self.nbytes > MAX_BYTES:
            self._drop(next(iter(self.entries)))

    def _drop(self, key: Key | None) -> None:
        entry = self.entries.pop(key)
        for replays, shortcut in entry.shortcuts:
            replays.pop(shortcut, None)
        entry.free()
        self.nbytes -= entry.nbytes


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
    PLAIN[comm.handle] = channel.replays(DEFAULTS)
    comm.Set_attr(_KEYVAL, comm.handle)
    return channel


def _free(comm: MPI.Comm, keyval: int, handle: int) -> None:
    """MPI calls this when the communicator is freed; its handle may come again."""
    del PLAIN[handle]
    _CHANNELS.pop(handle).close()


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
PLAIN: dict[int | None, Replays] = {}  # what is ready for communicators that are not ours
_KEYVAL = MPI.Comm.Create_keyval(delete_fn=_free)
