"""Start a collective now and complete it later, or set it up and start it often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

from collectives.errors import CollectiveError
from collectives.mpi.data.buffers import exports
from collectives.mpi.engines.progress import check_threads
from collectives.mpi.engines.replay import Setup
from collectives.mpi.engines.stages import Stage
from collectives.mpi.plans.channel import Channel, Found
from collectives.mpi.plans.counts import invocations
from collectives.mpi.plans.recording import Attempt, Invocation
from collectives.mpi.plans.requests import Prequest, Request
from collectives.mpi.plans.traffic import Flight


def start(channel: Channel, invocation: Invocation) -> Request:
    """Start a call. Its buffers are kept until the operation has ended."""
    supervisor = channel.supervisor
    check_threads()
    if invocation.form:
        return _start_all(channel, invocation, invocations(channel, invocation))
    if supervisor.settings.check:
        return _start_all(channel, invocation, iter([invocation]))
    found = channel.find(invocation)
    plan = found.attempt.result()  # raises what is wrong before anything is sent
    addresses = found.addresses
    try:
        number = supervisor.begin(plan.description)
        for position, load in plan.loads:
            load(addresses[position])
        stages = plan.stages_at(addresses)
    except BaseException:
        found.discard()
        raise
    flight = Flight(channel.traffic, iter(stages))
    flight.keep = found, invocation, exports(invocation.buffers)

    def end(succeeded: bool) -> None:
        try:
            for position, store in plan.stores if succeeded else ():
                store(addresses[position])
        except BaseException:
            succeeded = False
            raise
        finally:
            if succeeded:
                found.release()
            else:
                found.discard()

    flight.at_end = end
    return Request(flight, supervisor.waiter(plan.description, number))


def _start_all(channel: Channel, whole: Invocation, calls: Iterator[Invocation]) -> Request:
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
        first.discard()
        raise
    stages = _stages(channel, chain([(first, invocation)], parts), number)
    flight = Flight(channel.traffic, stages)
    flight.keep = exports(whole.buffers)
    return Request(flight, supervisor.waiter(first.attempt.name, number))


def _parts(
    channel: Channel, calls: Iterator[Invocation]
) -> Iterator[tuple[Found, Invocation | None]]:
    """The calls of what is started, each with its plan; the last may be a failure."""
    try:
        for invocation in calls:
            yield channel.find(invocation, alone=False), invocation
    except CollectiveError as error:
        yield Found(Attempt("a collective", problem=error)), None


def _stages(
    channel: Channel, parts: Iterable[tuple[Found, Invocation | None]], number: int
) -> Iterator[Stage]:
    """Compare each call with the other ranks' if they do that, and carry it out."""
    supervisor = channel.supervisor
    for found, invocation in parts:
        try:
            if supervisor.settings.check:
                within = "" if invocation is None else invocation.within
                name = f"nonblocking {within}".strip()
                yield from supervisor.compare(found.attempt, name, number)
            yield from found.attempt.result().whole(found.addresses)
        except BaseException:
            found.discard()
            raise
        found.release()


def set_up(channel: Channel, call: Invocation) -> Prequest:
    """Set up a call, to start it often. It is kept until the request is freed.

    Counts that ranks have to tell each other are told here, once.
    """
    check_threads()
    supervisor = channel.supervisor
    with supervisor.guard("a persistent collective"):
        for each in invocations(channel, call) if call.form else ():
            if each.within:
                channel.carry_out(each)
            call = each
    attempt = channel.recorder.attempt(call, stage=0)
    if supervisor.settings.check:
        number = supervisor.begin(attempt.name)
        compared = supervisor.compare(attempt, "persistent", number)
        supervisor.see_through(compared, attempt.name, number)
    plan = attempt.result()
    place, tag = channel.traffic.settle()
    setup = Setup(plan.whole(plan.addresses), place.comm, tag)

    def free(keep: object) -> None:
        setup.free()
        channel.traffic.vacate(place)

    wait = supervisor.waiter(f"persistent {attempt.name}", None)
    return Prequest(setup, partial(free, (call, plan, exports(call.buffers))), wait)
