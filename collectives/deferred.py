"""Start a collective now and complete it later, or set it up and start it often.

The functions of `collectives.api` say in plain Python what a collective does:
some need one plan, the v-variants another one before it that tells counts. Here
such a function is run up to its next plan, stopped, and run again when that plan
has been carried out, which then is skipped. So no form is written twice. What is one
plan alone needs no such detour to be started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from collectives.channel import Channel, Replays
from collectives.dispatch import call
from collectives.engines.persistent import Setup
from collectives.engines.progress import check_threads
from collectives.engines.stages import Stage, local
from collectives.errors import CollectiveError
from collectives.keys import arrays_of
from collectives.pool import Idle
from collectives.recording import Attempt, Invocation
from collectives.requests import Prequest, Request

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


@dataclass
class _Part:
    """One call of what is started, checked; `idle` is what nobody else uses meanwhile."""

    channel: Channel
    attempt: Attempt
    invocation: Invocation | None = None  # keeps the buffers
    idle: Idle | None = None

    def stages(self, number: int) -> Iterator[Stage]:
        """Compare the call with the other ranks' if they do that, and carry it out."""
        if self.channel.settings.check:
            within = "" if self.invocation is None else self.invocation.within
            form = f"nonblocking {within}".strip()
            yield from self.channel.compare(self.attempt, form, number)
        yield from self.attempt.result().stages
        if self.idle is not None:
            self.channel.idle.give(self.idle)


def _part(channel: Channel, invocation: Invocation) -> _Part:
    key, arrays = channel.key_of(invocation), arrays_of(invocation.buffers)
    if key is None:
        return _Part(channel, channel.recorder.attempt(invocation), invocation)
    found = channel.idle.take(key[0])
    idle = None if found is None else found.at(key, arrays)
    if idle is not None:
        return _Part(channel, Attempt.of(idle.entry), invocation, idle)
    attempt = channel.recorder.attempt(invocation)
    idle = None if attempt.entry is None else Idle.of(key, attempt.entry, arrays)
    return _Part(channel, attempt, invocation, idle)


def _parts(channel: Channel, invocations: Iterable[Invocation]) -> Iterator[_Part]:
    """The parts of what is started; the last may be a failure."""
    try:
        for invocation in invocations:
            yield _part(channel, invocation)
    except CollectiveError as error:
        yield _Part(channel, Attempt("a collective", problem=error))


def start(
    channel: Channel,
    invocations: Iterable[Invocation],
    before: Work | None = None,
    after: Work | None = None,
) -> Request:
    """Start a collective.

    Parameters
    ----------
    channel : Channel
    invocations : iterable of Invocation
        What it consists of; the next one is asked for when the one before has been carried
        out. They are kept, with all that they refer to, until the operation has ended.
    before, after : callable, optional
        Work before the first and after the last stage.
    """
    check_threads()
    parts = _parts(channel, invocations)
    first = next(parts)
    if not channel.settings.check:
        first.attempt.result()  # raises what is wrong before anything is sent
    number = channel.begin(first.attempt.name)

    def stages() -> Iterator[Stage]:
        yield from _work(before)
        yield from first.stages(number)
        for part in parts:
            yield from part.stages(number)
        yield from _work(after)

    begin = partial(channel.traffic.launch, stages())
    return Request(begin, channel.waiter(first.attempt.name, number))


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
    function, before, after
        As in `start`; kept until the request is freed.
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
