"""Start a collective now and complete it later, or set it up and start it often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import check_threads
from collectives.mpi.engines.replay import Setup
from collectives.mpi.engines.shield import shielded
from collectives.mpi.engines.stages import Stage
from collectives.mpi.plans.callplan import Addresses, CallPlan
from collectives.mpi.plans.channel import Channel, Found
from collectives.mpi.plans.counts import invocations
from collectives.mpi.plans.recording import Attempt, Invocation
from collectives.mpi.plans.requests import Prequest, Request
from collectives.mpi.plans.store import Pool, Ready
from collectives.mpi.plans.traffic import Flight, Traffic


def start(
    channel: Channel, invocation: Invocation, ready: Ready, shape: tuple | None, exported: list
) -> Request:
    """Start a call. Its buffers are kept until the operation has ended.

    What was exported of them is held until the request has. The next call of its shape is
    found at once.
    """
    check_threads()
    supervisor = channel.supervisor
    calls = invocations(channel, invocation) if invocation.form else iter([invocation])
    if supervisor.settings.check or channel.observer is not None:
        return _start_all(channel, invocation, calls, exported)
    first = next(calls)
    if first.within:
        return _start_all(channel, invocation, chain([first], calls), exported)
    found = channel.find(first)
    plan = found.attempt.result()  # raises what is wrong before anything is sent
    try:
        number = supervisor.begin(plan.description)
    except BaseException:
        found.end(False)
        raise
    if shape is not None and found.pool is not None and not supervisor.active:
        found.pool.note(ready, shape, found.pool)
    wait = supervisor.waiter(plan.description, number)
    addresses, buffers = found.addresses, first.buffers
    return replay(found.pool, plan, addresses, buffers, exported, channel.traffic, wait)


def replay(
    pool: Pool | None,
    plan: CallPlan,
    addresses: Addresses,
    buffers: Sequence[Any],
    exported: list,
    traffic: Traffic,
    wait: Callable[[Operation], None],
) -> Request:
    """Start a call by a plan that nobody else uses."""

    def end(succeeded: bool) -> None:
        try:
            if succeeded:
                for position, store in plan.stores:
                    store(addresses[position])
        except BaseException:
            succeeded = False
            raise
        finally:
            if pool is not None:
                pool.end(plan, succeeded)

    try:
        plan.tick()
        for position, load in plan.loads:
            load(addresses[position])
        stages = plan.stages_at(addresses)
    except BaseException:
        end(False)
        raise

    # The plan is kept, too: its messages are addresses.
    keep = plan, buffers, exported
    return Request(Flight(traffic, iter(stages), end, keep), wait, exported)


def _start_all(
    channel: Channel, whole: Invocation, calls: Iterator[Invocation], exported: list
) -> Request:
    """Start what a call comes to, one after the other.

    The next one is asked for when the one before has been carried out.
    """
    supervisor = channel.supervisor
    channel.store.make_room()
    parts = _parts(channel, calls)
    first, invocation = next(parts)
    if not supervisor.settings.check:
        first.attempt.result()
    try:
        number = supervisor.begin(first.attempt.name)
    except BaseException:
        first.end(False)
        raise
    flight = channel.traffic.kind(channel.traffic, iter(()), keep=(whole, exported))
    flight.stages = _stages(channel, chain([(first, invocation)], parts), number, flight)
    return Request(flight, supervisor.waiter(first.attempt.name, number), exported)


def _parts(
    channel: Channel, calls: Iterator[Invocation]
) -> Iterator[tuple[Found, Invocation | None]]:
    """The calls of what is started, each with its plan; the last may be a failure."""
    try:
        for invocation in calls:
            yield channel.find(invocation, alone=False), invocation
    except Exception as error:
        yield Found(Attempt("a collective", problem=error)), None


def _stages(
    channel: Channel,
    parts: Iterable[tuple[Found, Invocation | None]],
    number: int,
    call: Operation,
) -> Iterator[Stage]:
    """Compare each call with the other ranks' if they do that, and carry it out."""
    supervisor = channel.supervisor
    for found, invocation in parts:
        try:
            if supervisor.settings.check:
                within = "" if invocation is None else invocation.within
                name = f"nonblocking {within}".strip()
                yield from supervisor.compare(found.attempt, name, number)
            yield from channel.stages(found.attempt.result(), found.addresses, "nonblocking", call)
            lost = call.lost
            yield from supervisor.closing(found.attempt.name, call, alone=False)
        except BaseException:
            found.end(False)
            raise
        found.end(not lost)


@shielded
def set_up(channel: Channel, call: Invocation, exported: list) -> Prequest:
    """Set up a call, to start it often. It and its memory are kept until the request is freed.

    Counts that ranks have to exchange first are exchanged here, once.
    """
    check_threads()
    supervisor = channel.supervisor
    calls = invocations(channel, call) if call.form else iter([call])
    for each in supervisor.guarded(calls, "a persistent collective"):
        if each.within:
            channel.carry_out(each)
        call = each
    attempt = channel.recorder.attempt(call, stage=0)
    number = supervisor.begin(attempt.name)
    if supervisor.settings.check:

        def compared(operation: Operation) -> Iterator[Stage]:
            yield from supervisor.compare(attempt, "persistent", number)
            yield from supervisor.closing(attempt.name, operation)

        supervisor.see_through(compared, attempt.name, number)
    plan = attempt.result()
    plan.improve()
    place, tag = channel.traffic.settle()
    setup, tick = _set_up(channel, plan, place.lane, tag)

    def free(keep: object) -> None:
        setup.free()
        channel.traffic.vacate(place)

    wait = supervisor.waiter(f"persistent {attempt.name}", None)
    return Prequest(setup, partial(free, (call, plan, exported)), tick, wait)


def _set_up(
    channel: Channel, plan: CallPlan, lane: Lane, tag: int
) -> tuple[Setup, Callable[[], object]]:
    """The messages of a plan, and what is called at the start of each run."""
    if channel.observer is not None:
        return channel.observer.setup(plan, lane, tag)
    return Setup(plan.whole(plan.addresses), lane, tag), plan.tick
