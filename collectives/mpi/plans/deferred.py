"""Start a collective now and complete it later, or set it up and start it often.

The functions of `collectives.mpi.api` say in plain Python what a collective does:
some need one plan, the v-variants another one before it that tells counts. Here
such a function is run up to its next plan, stopped, and run again when that plan
has been carried out, which then is skipped. So no form is written twice. What is one
plan alone needs no such detour to be started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from collectives.errors import CollectiveError
from collectives.mpi.data.operators import owned
from collectives.mpi.engines.progress import check_threads
from collectives.mpi.engines.replay import Setup
from collectives.mpi.engines.stages import Stage, local
from collectives.mpi.plans.channel import Channel, Replays
from collectives.mpi.plans.dispatch import call
from collectives.mpi.plans.pool import Idle
from collectives.mpi.plans.recording import Attempt, Invocation
from collectives.mpi.plans.requests import Prequest, Request
from collectives.mpi.plans.traffic import Flight

Function = Callable[..., None]
Work = Callable[[], None]


class _Reached(Exception):
    """A function of the api has come to a plan whose outcome it needs to go on."""


class _Rehearsal(Channel):
    """A channel that only takes down what is to be called.

    The last call of a function is the one that it is about. Those before it are
    made within it, to tell counts. It has nothing to replay, so that every call comes to
    `carry_out`.
    """

    _replays: Replays = {}  # noqa: RUF012 - stays empty

    def __init__(self, channel: Channel):
        self.comm = channel.comm
        self.rank = channel.rank
        self.p = channel.p
        self.recorder = channel.recorder
        self.tables = {}
        self.counts = channel.counts
        self.carried_out = 0
        self.passed = 0
        self.last: Invocation | None = None

    def carry_out(self, invocation: Invocation, *_: Any) -> None:
        if not invocation.within:
            self.last = invocation
            return
        if self.passed == self.carried_out:
            raise _Reached(invocation)
        self.passed += 1

    @contextmanager
    def guard(self, name: str) -> Iterator[None]:
        yield  # who runs the function sees its errors


def calls_of(channel: Channel, function: Function) -> Iterator[Invocation]:
    """The channel's calls that a function makes, one after the other."""
    rehearsal = _Rehearsal(channel)
    while rehearsal.last is None:
        try:
            function(rehearsal)
        except _Reached as reached:
            yield reached.args[0]
            rehearsal.carried_out += 1
            rehearsal.passed = 0
    yield rehearsal.last


class _Part(NamedTuple):
    """One call of what is started: what becomes of it, and what nobody else uses meanwhile."""

    attempt: Attempt
    invocation: Invocation | None = None  # keeps the buffers
    idle: Idle | None = None


def _part(channel: Channel, invocation: Invocation) -> _Part:
    """Check a call, and make a plan unless there is one that can be used."""
    key = channel.key_of(invocation)
    if key is None:
        *buffers, op = owned(*invocation.buffers, invocation.op)
        invocation = invocation._replace(buffers=buffers, op=op)
        return _Part(channel.recorder.attempt(invocation), invocation)
    found = channel.idle.take(key[0])
    idle = None if found is None else found.at(key)
    if idle is not None:
        return _Part(Attempt.of(idle.entry), invocation, idle)
    attempt = channel.recorder.attempt(invocation)
    if attempt.entry is not None:
        idle = Idle.of(key, attempt.entry, invocation.buffers)
    return _Part(attempt, invocation, idle)


def start(channel: Channel, invocation: Invocation) -> Request:
    """Start what is one call of a primitive.

    It is kept, with all that it refers to, until the operation has ended.
    """
    if channel.settings.check:
        return start_all(channel, [invocation])
    check_threads()
    part = _part(channel, invocation)
    entry = part.attempt.result()  # raises what is wrong before anything is sent
    number = channel.begin(entry.description)
    flight = Flight(channel.traffic, iter(entry.stages))
    flight.keep = part
    if part.idle is not None:
        flight.landed = partial(channel.idle.give, part.idle)
    return Request(flight, channel.waiter(entry.description, number))


def start_all(
    channel: Channel,
    invocations: Iterable[Invocation],
    before: Work | None = None,
    after: Work | None = None,
) -> Request:
    """Start what may be several calls, one after the other.

    Parameters
    ----------
    channel : Channel
    invocations : iterable of Invocation
        The next one is asked for when the one before has been carried out. They are kept as
        in `start`.
    before, after : callable, optional
        Work before the first and after the last stage.
    """
    check_threads()
    parts = _parts(channel, invocations)
    first = next(parts)
    if not channel.settings.check:
        first.attempt.result()
    number = channel.begin(first.attempt.name)
    stages = _stages(channel, chain([first], parts), number, before, after)
    return Request(Flight(channel.traffic, stages), channel.waiter(first.attempt.name, number))


def _parts(channel: Channel, invocations: Iterable[Invocation]) -> Iterator[_Part]:
    """The parts of what is started; the last may be a failure."""
    try:
        for invocation in invocations:
            yield _part(channel, invocation)
    except CollectiveError as error:
        yield _Part(Attempt("a collective", problem=error))


def _stages(
    channel: Channel, parts: Iterable[_Part], number: int, before: Work | None, after: Work | None
) -> Iterator[Stage]:
    """Compare each call with the other ranks' if they do that, and carry it out."""
    yield from _work(before)
    for attempt, invocation, idle in parts:
        if channel.settings.check:
            within = "" if invocation is None else invocation.within
            yield from channel.compare(attempt, f"nonblocking {within}".strip(), number)
        yield from attempt.result().stages
        if idle is not None:
            channel.idle.give(idle)
    yield from _work(after)


def set_up(
    channel: Channel,
    function: Function,
    before: Work | None = None,
    after: Work | None = None,
) -> Prequest:
    """Set up what a function of the api does, to start it often.

    Counts that ranks have to tell each other are told here, once.

    Parameters
    ----------
    channel : Channel
    function : callable
        It is called with a channel, and kept until the request is freed.
    before, after : callable, optional
        As in `start_all`.
    """
    check_threads()
    with channel.guard("a persistent collective"):
        for invocation in calls_of(channel, function):
            if invocation.within:
                call(channel, *invocation)
    attempt = channel.recorder.attempt(invocation)
    if channel.settings.check:
        number = channel.begin(attempt.name)
        channel.see_through(channel.compare(attempt, "persistent", number), attempt.name, number)
    stages = attempt.result().stages
    place, tag = channel.traffic.settle()
    setup = Setup([*_work(before), *stages, *_work(after)], place.comm, tag)

    def free(keep: Function) -> None:
        setup.free()
        channel.traffic.vacate(place)

    wait = channel.waiter(f"persistent {attempt.name}", None)
    return Prequest(setup, partial(free, function), wait)


def _work(work: Work | None) -> list[Stage]:
    """A stage without messages, if there is work."""
    return [] if work is None else local([work])
