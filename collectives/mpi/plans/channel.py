"""A channel: all that the library keeps for a communicator.

It is made at the first collective on a communicator, which all its ranks call, and closed
when that is freed. Its messages travel in a lane of their own, apart from the user's.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI

from collectives.catalogue import DEFAULTS
from collectives.engines.packing import Call
from collectives.errors import ArgumentError
from collectives.mpi.data.lifetime import before_finalize
from collectives.mpi.engines.calls import GivenUp, run
from collectives.mpi.engines.lanes import Carrier
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.shield import SHIELD
from collectives.mpi.engines.tally import Tally, Usage
from collectives.mpi.guards import settings
from collectives.mpi.guards.settings import Directory, Settings
from collectives.mpi.plans.book import book_in, write_books
from collectives.mpi.plans.callplan import Addresses, CallPlan, Turn
from collectives.mpi.plans.keys import NOT_KEPT, Key, key_of
from collectives.mpi.plans.meeting import meet
from collectives.mpi.plans.observing import Observer, TimedFlight
from collectives.mpi.plans.recording import Attempt, Invocation, Recorder
from collectives.mpi.plans.store import Direct, Pool, Ready, Store
from collectives.mpi.plans.supervisor import Stages, Supervisor, describe
from collectives.mpi.plans.traffic import Flight, Traffic

IN_FLIGHT = "in flight"  # ends the shape of calls that others may run beside


class Shortcut(NamedTuple):
    """What a call is found by at once when it comes again: by its shape, or by all."""

    ready: Ready
    shape: tuple
    whole: tuple


class Found(NamedTuple):
    """A call on this rank, checked, with a plan that nobody else uses meanwhile."""

    attempt: Attempt
    addresses: Addresses = ()
    pool: Pool | None = None

    def end(self, succeeded: bool) -> None:
        """The call has ended: others may use its plan, unless it failed."""
        if self.pool is not None and self.attempt.plan is not None:
            self.pool.end(self.attempt.plan, succeeded)


class Channel:
    """What the library knows about one communicator."""

    def __init__(self, comm: MPI.Intracomm, wanted: Settings, carrier: Carrier | None):
        self.handle: int | None = comm.handle  # we are found by ourselves, too, until we close
        lane, nodes, alike = meet(comm, wanted.digest, carrier, wanted.timeout)
        self.lane, self.rank, self.p = lane, lane.rank, lane.p
        self.left = False
        self.tally = Tally()
        self.recorder = Recorder(lane, lane.rank, lane.p, nodes, self.tally)
        self.counts: dict[tuple, Any] = {}  # what the counts are in calls that have come
        plain = MPI.Intracomm(comm)  # it shares the handle, and keeps nothing of ours alive
        self.traffic = Traffic(lane, lambda: meet(plain, carrier=lane.carrier).lane, self.give_up)
        self.supervisor = Supervisor(lane, self.traffic, self.tally)
        self.store = Store(lane, self.traffic, self.supervisor.waiter, self.give_up)
        self.kept: list[object] = []  # what messages of calls that were given up may still use
        if not alike:
            try:
                self.supervisor.compare_settings(wanted)
            finally:
                self.traffic.close()
        self.observer: Observer | None = None
        self._plain = plain
        self._adopt(wanted)

    def configure(self, wanted: Settings) -> None:
        """Check, limit and record calls from now on, or stop it. Collective."""
        self.supervisor.compare_settings(wanted)
        self._adopt(wanted)
        self.store.hide()  # supervised calls are not to be found at once

    def _adopt(self, wanted: Settings) -> None:
        """All ranks want the same."""
        self._observe(wanted)
        self.supervisor.adopt(wanted)

    def _observe(self, wanted: Settings) -> None:
        """Record calls from now on, or stop it. Collective.

        Raises
        ------
        ArgumentError
            A rank cannot write there.
        """
        if wanted.trace == self.supervisor.settings.trace:
            return
        self._stop_observing()
        if not wanted.trace:
            return
        book, problem = None, None
        try:
            book = book_in(wanted.trace)
        except ArgumentError as error:
            problem = error
        self.supervisor.run(self.supervisor.agree(f"Comm with {wanted}", problem))
        assert book is not None
        self.observer = Observer(book, self._plain, self.lane, wanted.timeout)
        self.traffic.kind = TimedFlight

    def _stop_observing(self) -> None:
        observer, self.observer = self.observer, None
        self.traffic.kind = Flight
        if observer is not None and not self.supervisor.given_up:
            observer.leave()

    def stages(self, plan: CallPlan, addresses: Addresses, form: str, call: Operation) -> Stages:
        """The stages of a call that is supervised."""
        if isinstance(call, TimedFlight) and self.observer is not None:
            return self.observer.stages(plan, addresses, form, call)
        return iter(plan.rounds(addresses))

    def carry_out(self, invocation: Invocation, shortcut: Shortcut | None = None) -> None:
        """Carry out one collective, by a plan that there is or a new one."""
        try:
            self._carry_out(invocation, shortcut)
        except GivenUp as lost:
            raise self.give_up(lost) from None
        except BaseException as error:
            if error is SHIELD.insistent:
                self.give_up(GivenUp(), error)
            raise

    def give_up(self, lost: BaseException, kept: object = None) -> BaseException:
        """A call was left in the middle: no other can be made here. Returns why it was left."""
        cause = lost.__cause__ or lost
        self.lane.spoilt = True
        self.kept.append(kept)
        if isinstance(cause, MPI.Exception):  # a message that was too long, or a Timeout
            return cause
        self.supervisor.give_up(f"a call that rank {self.rank} left after {describe(cause)}")
        self.store.hide()
        return cause

    def _carry_out(self, invocation: Invocation, shortcut: Shortcut | None) -> None:
        if self.supervisor.active:
            self._supervise(invocation)
            return
        key = self.key_of(invocation)
        if key is None:
            once = self._record(invocation)
            once.run(once.addresses)
            return
        shape, addresses = key
        pool = self.store.pools.get(shape)
        if pool is not None and shortcut is not None and addresses in pool.seen:
            direct = self._direct(pool, addresses)
            if direct is not None:
                pool.note(shortcut.ready, shortcut.whole, direct)
                self._run(*direct)
                return
        plan = None if pool is None else pool.take(addresses)
        if pool is None or plan is None:
            plan = self._record(invocation)
            pool = self.store.add(shape, plan)
        if shortcut is not None:
            pool.note(shortcut.ready, shortcut.shape, pool)
            pool.saw(addresses)
        pool.carry_out(plan, addresses)

    def find(self, invocation: Invocation, alone: bool = True) -> Found:
        """A plan for a call, with what it takes to carry it out; nothing is sent.

        It works on scratch memory of its own while it is in flight. A direct plan shares
        that of the plan that it was made from, so such plans are kept apart. Who advances
        an operation is not `alone` (see `Store.add`).
        """
        key = self.key_of(invocation)
        shape, addresses = key or ((), ())
        shape = *shape, IN_FLIGHT
        pool = self.store.pools.get(shape)
        plan = None if pool is None else pool.take(addresses)
        if plan is not None:
            return Found(Attempt.of(plan), addresses, pool)
        attempt = self._attempt(invocation)
        if attempt.plan is None:
            return Found(attempt)
        pool = None if key is None else self.store.add(shape, attempt.plan, alone)
        return Found(attempt, attempt.plan.addresses, pool)

    def key_of(self, invocation: Invocation) -> Key | None:
        """The key of a call; None if its plan must not be kept, as where the root is wrong.

        1, 1.0 and True would make the same key, but are not all right.
        """
        root = invocation.root
        if isinstance(root, (bool, np.integer)):
            invocation = invocation._replace(root=int(root))
        facts: Any = invocation[1:7]
        try:
            name: Any = invocation.reader or invocation.primitive
            if invocation.behalf:
                name = name, invocation.behalf
            key = key_of(name, *[*facts, []])
            hash(key)  # a parameter may have none
        except NOT_KEPT:
            return None
        return key

    def forget(self) -> None:
        """Drop all plans."""
        self.store.forget()

    def finish(self) -> None:
        """Wait for the nonblocking operations in flight."""
        for operation in list(self.traffic.operations.values()):
            self.supervisor.waiter("a nonblocking collective in flight", None)(operation)

    def close(self) -> None:
        """Give everything back to MPI; what is in flight comes to its end first."""
        self.handle = None
        self.tally.close()
        if self.left:
            return  # MPI frees it while it is finalized
        self._stop_observing()
        self.supervisor.close()
        if self.supervisor.given_up:
            _LOST.append(self)  # messages without an end keep the communicator
            return
        self.finish()
        self.forget()
        self.traffic.close()

    def leave(self) -> None:
        """MPI is about to be finalized: persistent requests must be gone before that."""
        self.left = True
        self._stop_observing()
        if self.supervisor.watch is not None:
            self.supervisor.watch.leave()
        if not self.supervisor.given_up:
            self.forget()

    def _run(self, turn: Turn, calls: list[Call]) -> None:
        turn.taken = True
        try:
            run(calls)
        except GivenUp:  # the turn stays taken: messages may still come
            raise
        except BaseException:
            turn.taken = False
            raise
        turn.taken = False

    def _direct(self, pool: Pool, addresses: Addresses) -> Direct | None:
        plan = pool.take(addresses)
        if plan is None:
            return None
        try:
            return self.store.direct(pool, plan, addresses)
        finally:
            pool.give(plan)

    def _attempt(self, invocation: Invocation) -> Attempt:
        """A plan or a problem: of one that is this rank's alone, others send in vain."""
        attempt = self.recorder.attempt(invocation)
        self.lane.spoilt = self.lane.spoilt or attempt.plan is None
        return attempt

    def _record(self, invocation: Invocation) -> CallPlan:
        """A new plan; everything is checked, together with the other ranks the first time."""
        attempt = self._attempt(invocation)
        if self.supervisor.compares(attempt):
            self.supervisor.run(self.supervisor.compare(attempt, invocation.within))
        return attempt.result()

    def _supervise(self, invocation: Invocation) -> None:
        """`carry_out` where the ranks compare their calls, or where time is limited."""
        found, supervisor = self.find(invocation), self.supervisor
        attempt, within = found.attempt, invocation.within
        name = invocation.behalf or attempt.name  # what the user knows of

        def stages(call: Operation) -> Stages:
            if supervisor.compares(attempt):
                yield from supervisor.compare(attempt, within, number)
            yield from self.stages(attempt.result(), found.addresses, "blocking", call)
            yield from supervisor.closing(attempt.name, call)

        try:
            number = supervisor.begin(name, within)
            supervisor.see_through(stages, name, number)
        except BaseException:
            if supervisor.given_up:
                self.kept.append(found)
            else:
                found.end(False)
            raise
        found.end(True)


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
        if isinstance(comm, MPI.Intracomm) and not comm:
            comm.Get_size()  # it has been freed: raises mpi4py's own error
        if not isinstance(comm, MPI.Intracomm):
            raise ArgumentError(
                f"comm must be an intracommunicator, got {comm!r}", mpi_class="ERR_COMM"
            )
        channel = open_channel(comm, settings_of(comm))
    return channel


def settings_of(comm: MPI.Intracomm) -> Settings:
    """What holds for a communicator, or will when it has a channel: asking makes none."""
    channel = _CHANNELS.get(comm.handle)
    if channel is not None:
        return channel.supervisor.settings
    return getattr(comm, "_settings", None) or settings.from_environment()


def usage_of(comm: MPI.Intracomm, reset: bool = False) -> list[Usage]:
    """What has run on a communicator; nothing without a channel, and asking makes none."""
    channel = _CHANNELS.get(comm.handle)
    if channel is None:
        return []
    usage = channel.tally.usage()
    if reset:
        channel.tally.reset()
    return usage


def known_carrier(comm: MPI.Intracomm) -> Carrier | None:
    """What carries the messages of a communicator, if it has a channel: asking makes none."""
    channel = _CHANNELS.get(comm.handle)
    return None if channel is None else channel.lane.carrier


def configure(
    comm: MPI.Intracomm, check: bool | None, timeout: float | None, trace: Directory = None
) -> None:
    """Check, limit and record a communicator's calls; None leaves what there is. Collective.

    Raises
    ------
    CallMismatch
        The ranks want different things.
    """
    channel = _CHANNELS.get(comm.handle)
    if channel is None:
        open_channel(comm, settings.from_environment().but(check, timeout, trace))
    else:
        channel.configure(channel.supervisor.settings.but(check, timeout, trace))


def open_channel(comm: MPI.Intracomm, wanted: Settings, carrier: Carrier | None = None) -> Channel:
    """Make the channel of a communicator that has none. Collective.

    A communicator made from another one has the carrier of that one.
    """
    channel = _CHANNELS[comm.handle] = Channel(comm, wanted, carrier)
    PLAIN[comm.handle] = channel.store.ready(DEFAULTS)
    comm.Set_attr(_keyval(), comm.handle)
    return channel


@cache
def _keyval() -> int:
    before_finalize(_leave)
    return MPI.Comm.Create_keyval(delete_fn=_free)


def _free(comm: MPI.Comm, keyval: int, handle: int) -> None:
    """MPI calls this when the communicator is freed; its handle may come again."""
    del PLAIN[handle]
    _CHANNELS.pop(handle).close()


def _leave() -> None:
    for channel in _CHANNELS.values():
        channel.leave()
    write_books()


_LOST: list[Channel] = []  # whose messages have no end

# By handle, which is quicker to look up than MPI's own attribute.
_CHANNELS: dict[int | None, Channel] = {}
PLAIN: dict[int | None, Ready] = {}  # what is ready for communicators that are not ours
