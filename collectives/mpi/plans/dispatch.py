"""From the call of a collective to its plan, in as few steps as Python allows.

At a few bytes the time of a call is the time that it takes to find the plan. So a call is
looked up at once: first by its shape and the addresses of its buffers, under which a direct
plan is, then by its shape alone, under which a pool of plans is (see
`collectives.mpi.plans.store`). The most frequent kinds of calls, with arrays alone or with
nothing, have their look-up spelled out. Whatever is not found so goes to the channel, which
checks and records it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
from mpi4py import MPI

from collectives.algorithms.language import registry
from collectives.catalogue import DEFAULTS
from collectives.engines.packing import Call
from collectives.mpi.data.memory import held, let_go
from collectives.mpi.data.operators import Op
from collectives.mpi.engines.calls import GivenUp, finish
from collectives.mpi.engines.shield import shielded
from collectives.mpi.plans.callplan import Turn
from collectives.mpi.plans.channel import PLAIN, Channel, Shortcut, channel_of
from collectives.mpi.plans.counts import invocations
from collectives.mpi.plans.keys import LASTING, NOT_KEPT, key_of
from collectives.mpi.plans.recording import Invocation

Communicator = Any  # an MPI.Intracomm, ours or not, or a Channel

NOTHING: dict = {}  # what is ready before the first call

_Array = np.ndarray
_address = MPI.Get_address


def call_pair(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    sendbuf: Any,
    recvbuf: Any,
    root: int | None,
    op: Op | None,
    parameters: dict[str, Any],
) -> None:
    """`call` with an input and an output: quicker if both are arrays, for all is spelled out.

    An array that has an address is contiguous, and sendbuf is only read, so that its
    flags say nothing. An operator that the user made is not known by its identity, which
    may come again.
    """
    if (
        type(sendbuf) is not _Array
        or type(recvbuf) is not _Array
        or (root is not None and type(root) is not int)
        or id(op) not in LASTING
        or parameters
    ):
        call(comm, primitive, algorithm, (sendbuf, recvbuf), root, op, parameters)
        return
    ready: Any = getattr(comm, "_ready", None)
    addresses: tuple = ()
    shape = None
    try:
        if ready is None:
            ready = PLAIN.get(comm.handle, NOTHING)
        shape = (
            primitive, algorithm, root, id(op), registry.revision,
            sendbuf.size, sendbuf.dtype, recvbuf.size, recvbuf.dtype, recvbuf.flags.num,
        )  # fmt: skip
        addresses = _address(sendbuf), _address(recvbuf)
        found = ready.get((shape, addresses))
    except NOT_KEPT:
        shape = found = None
    if found is not None and not found[0].taken:
        turn, calls = found
        turn.taken = True
        rest, each = iter(calls), None
        try:
            for each in rest:
                each()
        except BaseException as error:
            _hold_back(comm, turn, rest, each, error)
        turn.taken = False
    elif shape is None or (pool := ready.get(shape)) is None or not pool.run(addresses):
        invocation = Invocation(primitive, algorithm, (sendbuf, recvbuf), root, op)
        _carry_out(comm, invocation, shape, addresses)


def call_one(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    buf: Any,
    root: int,
    parameters: dict[str, Any],
) -> None:
    """`call` with one buffer and a root: quicker, too, if it is an array."""
    if type(buf) is not _Array or type(root) is not int or parameters:
        call(comm, primitive, algorithm, (buf,), root, None, parameters)
        return
    ready: Any = getattr(comm, "_ready", None)
    addresses: tuple = ()
    shape = None
    try:
        if ready is None:
            ready = PLAIN.get(comm.handle, NOTHING)
        shape = primitive, algorithm, root, registry.revision, buf.size, buf.dtype, buf.flags.num
        addresses = (_address(buf),)
        found = ready.get((shape, addresses))
    except NOT_KEPT:
        shape = found = None
    if found is not None and not found[0].taken:
        turn, calls = found
        turn.taken = True
        rest, each = iter(calls), None
        try:
            for each in rest:
                each()
        except BaseException as error:
            _hold_back(comm, turn, rest, each, error)
        turn.taken = False
    elif shape is None or (pool := ready.get(shape)) is None or not pool.run(addresses):
        invocation = Invocation(primitive, algorithm, (buf,), root)
        _carry_out(comm, invocation, shape, addresses)


def call_bare(
    comm: Communicator, primitive: str, algorithm: str | None, parameters: dict[str, Any]
) -> None:
    """`call` without buffers."""
    if parameters:
        call(comm, primitive, algorithm, parameters=parameters)
        return
    ready: Any = getattr(comm, "_ready", None)
    shape = None
    try:
        if ready is None:
            ready = PLAIN.get(comm.handle, NOTHING)
        shape = primitive, algorithm, registry.revision
        found = ready.get((shape, ()))
    except NOT_KEPT:
        shape = found = None
    if found is not None and not found[0].taken:
        turn, calls = found
        turn.taken = True
        rest, each = iter(calls), None
        try:
            for each in rest:
                each()
        except BaseException as error:
            _hold_back(comm, turn, rest, each, error)
        turn.taken = False
    elif shape is None or (pool := ready.get(shape)) is None or not pool.run(()):
        _carry_out(comm, Invocation(primitive, algorithm, ()), shape, ())


def call(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    buffers: tuple[Any, ...] = (),
    root: int | None = None,
    op: Op | None = None,
    parameters: dict[str, Any] | None = None,
    counts: Any = None,
    within: str = "",
    form: str = "",
    title: str = "",
) -> None:
    """Carry out one collective.

    The arguments are described at `Invocation`. Without an algorithm it is the
    communicator's own default.
    """
    ready: Any = getattr(comm, "_ready", None)
    addresses: tuple = ()
    shape = None
    exported: list = []
    try:
        if ready is None:
            ready = PLAIN.get(comm.handle, NOTHING)
        name: Any = form or primitive
        if title or within:
            name = name, title or within
        shape, addresses = key_of(name, algorithm, buffers, root, op, parameters, counts, exported)
        found = ready.get((shape, addresses))
    except NOT_KEPT:
        shape = found = None
    try:
        if found is not None and not found[0].taken:
            turn, calls = found
            turn.taken = True
            rest, each = iter(calls), None
            try:
                for each in rest:
                    each()
            except BaseException as error:
                _hold_back(comm, turn, rest, each, error)
            turn.taken = False
        elif shape is None or (pool := ready.get(shape)) is None or not pool.run(addresses):
            buffers = held(buffers, exported)
            invocation = Invocation(
                primitive, algorithm, buffers, root, op, parameters, counts, within, form, title
            )
            _carry_out(comm, invocation, shape, addresses)
    except BaseException:
        let_go(exported)
        raise


def spec_of(comm: object, primitive: str, algorithm: str | None) -> str:
    """The algorithm of a call: the communicator's default if the call does not name one."""
    if algorithm is None:
        algorithm = getattr(comm, "_algorithms", DEFAULTS)[primitive]
    return algorithm


def _hold_back(
    comm: Communicator, turn: Turn, rest: Iterator[Call], call: Call | None, error: BaseException
) -> NoReturn:
    """An error in the middle of a call, which goes on to its end before it is raised."""
    try:
        finish(rest, call, error)
    except GivenUp as lost:  # the turn stays taken: messages may still come
        raise channel_of(comm).give_up(lost) from None
    except BaseException:
        turn.taken = False
        raise


@shielded
def _carry_out(
    comm: Communicator, invocation: Invocation, shape: tuple | None, addresses: tuple
) -> None:
    """Leave it to the channel to carry out a call that was not found at once."""
    spec = spec_of(comm, invocation.primitive, invocation.algorithm)
    invocation = invocation._replace(algorithm=spec)
    channel, defaults = channel_of(comm), getattr(comm, "_algorithms", None)
    ready = channel.store.ready(DEFAULTS if defaults is None else defaults)
    if defaults is not None:  # one of ours, which remembers
        comm._ready = ready
    shortcut = None if shape is None else Shortcut(ready, shape, (shape, addresses))
    if invocation.form:
        _carry_out_all(comm, channel, invocation, shortcut)
    else:
        channel.carry_out(invocation, shortcut)


def _carry_out_all(
    comm: Communicator, channel: Channel, invocation: Invocation, shortcut: Shortcut | None
) -> None:
    """Carry out a call before which counts may have to be exchanged.

    If they have not, the next one like it is found at once.
    """
    calls = channel.supervisor.guarded(invocations(channel, invocation), invocation.form)
    for number, each in enumerate(calls):
        if each.within:
            call(comm, each.primitive, each.algorithm, *each[2:8])  # type: ignore[arg-type]
        else:
            channel.carry_out(each, shortcut if number == 0 else None)
