"""Start a collective now and complete it later, or set it up and start it often.

The functions of `collectives.api` say in plain Python what a collective does:
some need one plan, the v-variants another one before it that tells counts. Here
such a function is run up to its next plan, stopped, and run again when that plan
has been carried out, which then is skipped. So no form is written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from mpi4py import MPI

from collectives.channel import Channel, Entry
from collectives.engines.nonblocking import Operation, poster
from collectives.engines.persistent import Setup
from collectives.engines.progress import check_threads
from collectives.engines.stages import Stage, stages_of
from collectives.mpi_operators import own
from collectives.requests import Prequest, Request

Function = Callable[..., None]
Work = Callable[[], None]


class _Reached(Exception):
    """A function of the api has come to a plan that has not been carried out."""


class _Rehearsal(Channel):
    """A channel that stops at every call once."""

    def __init__(self, channel: Channel):
        self.comm = channel.comm
        self.rank = channel.rank
        self.p = channel.p
        self.tables = {}
        self.carried_out = 0
        self.passed = 0

    def call(self, *call: Any, **options: Any) -> None:
        self._reach(False, *call, **options)

    def tell(self, *call: Any, **options: Any) -> None:
        self._reach(True, *call, **options)

    def _reach(
        self,
        tells: bool,
        primitive: str,
        algorithm: str | None,
        buffers: Any,
        root: int | None = None,
        op: MPI.Op | None = None,
        parameters: dict[str, Any] | None = None,
        counts: tuple[int, ...] | bytes | None = None,
    ) -> None:
        if self.passed == self.carried_out:
            call = primitive, algorithm, buffers, root, op, parameters or {}, counts
            raise _Reached(call, tells)
        self.passed += 1


def calls_of(channel: Channel, function: Function) -> Iterator[tuple[tuple, bool]]:
    """The channel's calls that a function makes, one after the other.

    Each as its arguments, and whether it only tells what the next one has to know.
    """
    rehearsal = _Rehearsal(channel)
    while True:
        try:
            function(rehearsal)
            return
        except _Reached as reached:
            call = reached.args
        yield call
        rehearsal.carried_out += 1
        rehearsal.passed = 0


def _stages(channel: Channel, call: tuple) -> tuple[Entry, list[Stage]]:
    entry = channel.plan(*call)
    return entry, stages_of(entry.plan, own(entry.operator))


class _Borrowed:
    """The stages of one nonblocking call, out of the channel's pool if it has them."""

    def __init__(self, channel: Channel, call: tuple):
        self.channel = channel
        self.key = channel.key(*call)
        found: tuple[Entry, list[Stage]] | None = None
        if self.key is not None:
            found = channel.idle.take(self.key)
        if found is None or not found[0].current:
            found = _stages(channel, call)
        self.entry, self.stages = found

    def give_back(self) -> None:
        if self.key is not None:
            self.channel.idle.give(self.key, self.entry, self.stages)


def start(
    channel: Channel, function: Function, before: Work | None = None, after: Work | None = None
) -> Request:
    """Start what a function of the api does.

    Parameters
    ----------
    channel : Channel
    function : callable
        `function(channel)` makes the call. It is kept, with all it refers to,
        until the operation has ended.
    before, after : callable, optional
        Work before the first and after the last stage.
    """
    check_threads()
    calls = (call for call, _ in calls_of(channel, function))
    first = _Borrowed(channel, next(calls))  # raises what is wrong before anything is sent

    def stages() -> Iterator[Stage]:
        yield from _work(before)
        borrowed = first
        while True:
            yield from borrowed.stages
            borrowed.give_back()
            call = next(calls, None)
            if call is None:
                break
            borrowed = _Borrowed(channel, call)
        yield from _work(after)

    def begin(ended: Work) -> Operation:
        traffic = channel.traffic
        tag, predecessor = traffic.lanes.enter()

        def leave() -> None:
            traffic.leave(operation, tag)
            ended()

        operation = Operation(stages(), poster(channel.comm, tag), leave, predecessor)
        traffic.enter(operation, tag)
        return operation

    return Request(begin)


def set_up(
    channel: Channel,
    function: Function,
    before: Work | None = None,
    after: Work | None = None,
    freed: Work | None = None,
) -> Prequest:
    """Set up what a function of the api does, to start it often.

    Counts that ranks have to tell each other are told here, once.

    Parameters
    ----------
    channel : Channel
    function, before, after
        As in `start`; kept until the request is freed.
    freed : callable, optional
        Work when the request is freed.
    """
    check_threads()
    for call, tells in calls_of(channel, function):
        if not tells:
            break
        channel.call(*call)
    _, stages = _stages(channel, call)
    place, tag = channel.traffic.settle()
    setup = Setup(stages, place.comm, tag)
    every = [*_work(before), *stages, *_work(after)]

    def begin(ended: Work) -> Operation:
        return Operation(iter(every), setup.post, ended)

    def free(keep: Function) -> None:
        setup.free()
        channel.traffic.vacate(place)
        if freed is not None:
            freed()

    return Prequest(begin, partial(free, function))


def _work(work: Work | None) -> list[Stage]:
    """A stage without messages, if there is work."""
    return [] if work is None else [Stage(after=[(work, ())])]
