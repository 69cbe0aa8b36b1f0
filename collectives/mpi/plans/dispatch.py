"""From the call of a collective to its plan, in as few steps as Python allows.

`call` is what every blocking collective comes to: a call that has come before, by its
key, replays its plan; another one goes to the channel, which checks and records it. At
a few bytes the time of a call is the time that it takes to find the plan. So the most
frequent kinds of calls, with arrays alone, have shorter ways, in which everything is
spelled out: each further function would be felt. `call_usual` is one for what else is
usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.language import registry
from collectives.catalogue import DEFAULTS
from collectives.mpi.data.operators import Op
from collectives.mpi.engines.calls import run
from collectives.mpi.plans.channel import PLAIN, channel_of
from collectives.mpi.plans.keys import DATATYPES, NOT_KEPT, PLACEHOLDERS, key_of
from collectives.mpi.plans.recording import Invocation

Communicator = Any  # an MPI.Intracomm, ours or not, or a Channel

_Array = np.ndarray
_address = MPI.Get_address


def call(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    buffers: Sequence[Any],
    root: int | None = None,
    op: Op | None = None,
    parameters: dict[str, Any] | None = None,
    counts: tuple[int, ...] | bytes | None = None,
    within: str = "",
) -> None:
    """Carry out one collective; replay its plan if there is one.

    The arguments are described at `Invocation`. Without an algorithm it is the
    communicator's own default.
    """
    try:
        key = key_of(primitive, algorithm, buffers, root, op, parameters, counts)
    except NOT_KEPT:
        key = None
    if not _replay(comm, key):
        rest = buffers, root, op, parameters, counts, within
        _look_closer(comm, key, primitive, algorithm, *rest)


def call_pair(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    sendbuf: Any,
    recvbuf: Any,
    root: int | None,
    op: Op | None,
    parameters: dict[str, Any],
    within: str = "",
) -> None:
    """`call` with an input and an output: quicker if they are arrays.

    An array that has an address is contiguous, and sendbuf is only read, so that its
    flags say nothing. An operator that the user made is never found by its identity,
    for its calls are not kept.
    """
    if (
        type(sendbuf) is not _Array
        or type(recvbuf) is not _Array
        or (root is not None and type(root) is not int)
        or parameters
    ):
        buffers = sendbuf, recvbuf
        call_usual(comm, primitive, algorithm, buffers, root, op, parameters, within)
        return
    replays, key = getattr(comm, "_replays", None), None
    try:
        if replays is None:
            replays = PLAIN[comm.handle]
        key = (
            primitive, algorithm, root, id(op), registry.revision,
            _address(sendbuf), sendbuf.size, sendbuf.dtype,
            _address(recvbuf), recvbuf.size, recvbuf.dtype, recvbuf.flags.num,
        )  # fmt: skip
        calls = replays[key]
    except NOT_KEPT:
        pass
    else:
        for each in calls:
            each()
        return
    buffers = sendbuf, recvbuf
    _look_closer(comm, key, primitive, algorithm, buffers, root, op, None, None, within)


def call_one(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    buf: Any,
    root: int,
    parameters: dict[str, Any],
    within: str = "",
) -> None:
    """`call` with one buffer and a root: quicker if it is an array."""
    if type(buf) is not _Array or type(root) is not int or parameters:
        call_usual(comm, primitive, algorithm, (buf,), root, None, parameters, within)
        return
    replays, key = getattr(comm, "_replays", None), None
    try:
        if replays is None:
            replays = PLAIN[comm.handle]
        key = (
            primitive, algorithm, root, registry.revision,
            _address(buf), buf.size, buf.dtype, buf.flags.num,
        )  # fmt: skip
        calls = replays[key]
    except NOT_KEPT:
        pass
    else:
        for each in calls:
            each()
        return
    _look_closer(comm, key, primitive, algorithm, (buf,), root, None, None, None, within)


def call_bare(
    comm: Communicator, primitive: str, algorithm: str | None, parameters: dict[str, Any]
) -> None:
    """`call` without buffers."""
    if parameters:
        call(comm, primitive, algorithm, (), parameters=parameters)
        return
    replays, key = getattr(comm, "_replays", None), None
    try:
        if replays is None:
            replays = PLAIN[comm.handle]
        key = primitive, algorithm, registry.revision
        calls = replays[key]
    except NOT_KEPT:
        pass
    else:
        for each in calls:
            each()
        return
    _look_closer(comm, key, primitive, algorithm, ())


def call_usual(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    buffers: tuple,
    root: int | None,
    op: Op | None,
    parameters: dict[str, Any],
    within: str = "",
) -> None:
    """`call` where a buffer may be MPI.IN_PLACE, None or `[array, datatype]`, too."""
    key = None
    if not parameters and (root is None or type(root) is int):
        key = _shortcut(primitive, algorithm, buffers, root, op)
    if key is None:
        call(comm, primitive, algorithm, buffers, root, op, parameters, None, within)
    elif not _replay(comm, key):
        _look_closer(comm, key, primitive, algorithm, buffers, root, op, None, None, within)


def _shortcut(
    primitive: str, algorithm: str | None, buffers: tuple, root: int | None, op: Op | None
) -> tuple | None:
    """What a call is found by, in which MPI's own datatypes stand for themselves.

    Others come and go, so what has one is not found this way; nor is what is not an array.
    """
    facts = [primitive, algorithm, root, id(op), registry.revision]
    for buf in buffers:
        data, datatype = buf, None
        if type(buf) is not _Array:
            if id(buf) in PLACEHOLDERS:
                facts.append(id(buf))
                continue
            if type(buf) not in (list, tuple) or len(buf) != 2:
                return None
            data, datatype = buf[0], id(buf[1])
            if type(data) is not _Array or datatype not in DATATYPES:
                return None
        try:
            facts += datatype, _address(data), data.size, data.dtype, data.flags.num
        except NOT_KEPT:
            return None
    return tuple(facts)


def _replay(comm: Communicator, key: tuple | None) -> bool:
    """Replay the plan of a call that is found by its shortcut; False if it is not."""
    replays = getattr(comm, "_replays", None)
    if replays is None:
        replays = PLAIN.get(getattr(comm, "handle", None), {})
    try:
        calls = replays.get(key)
    except TypeError:  # a parameter without a hash
        return False
    if calls is None:
        return False
    run(calls)
    return True


def _look_closer(
    comm: Communicator,
    shortcut: tuple | None,
    primitive: str,
    algorithm: str | None,
    *rest: Any,
) -> None:
    """Leave it to the channel to carry out a call that is not found by its shortcut."""
    invocation = Invocation(primitive, spec_of(comm, primitive, algorithm), *rest)
    channel, defaults = channel_of(comm), getattr(comm, "_algorithms", None)
    replays = channel.replays(DEFAULTS if defaults is None else defaults)
    if defaults is not None:  # one of ours, which remembers
        comm._replays = replays
    channel.carry_out(invocation, replays, shortcut)


def spec_of(comm: object, primitive: str, algorithm: str | None) -> str:
    """The algorithm of a call: the communicator's default if the call does not name one."""
    if algorithm is None:
        algorithm = getattr(comm, "_algorithms", DEFAULTS)[primitive]
    return algorithm
