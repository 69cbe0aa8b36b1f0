"""From the call of a collective to its plan, in as few steps as Python allows.

`call` is what every blocking collective comes to: a call that has come before, by its
key, replays its plan; another one goes to the channel, which checks and records it. At
a few bytes the time of a call is the time that it takes to find the plan. So the most
frequent kinds of calls, with arrays alone, have shorter ways, in which everything is
spelled out: each further function would be felt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms import registry
from collectives.catalogue import DEFAULTS
from collectives.channel import PLAIN, channel_of
from collectives.engines.blocking import run
from collectives.keys import DATATYPES, NOT_KEPT, PLACEHOLDERS, key_of
from collectives.mpi_operators import Op
from collectives.recording import Invocation

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
        _call_spelled(comm, primitive, algorithm, sendbuf, recvbuf, root, op, parameters, within)
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


def _call_spelled(
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
    """`call_pair` where a buffer is more or less than an array."""
    buffers = sendbuf, recvbuf
    if id(sendbuf) in PLACEHOLDERS:
        call_one(comm, primitive, algorithm, recvbuf, buffers, root, op, parameters, within)
        return
    if id(recvbuf) in PLACEHOLDERS:
        call_one(comm, primitive, algorithm, sendbuf, buffers, root, op, parameters, within)
        return
    source, target = _typed(sendbuf), _typed(recvbuf)
    if not source or not target or parameters or not _is_root(root):
        call(comm, primitive, algorithm, buffers, root, op, parameters, None, within)
        return
    (one, its), (other, others) = source, target
    try:
        key = (
            primitive, algorithm, root, id(op), its, others, registry.revision,
            _address(one), one.size, one.dtype,
            _address(other), other.size, other.dtype, other.flags.num,
        )  # fmt: skip
    except NOT_KEPT:
        key = None
    if not _replay(comm, key):
        _look_closer(comm, key, primitive, algorithm, buffers, root, op, None, None, within)


def _is_root(root: Any) -> bool:
    """Whether it may stand in a key: 1, 1.0 and True are the same there, but not all right."""
    return root is None or type(root) is int


def _typed(buf: Any) -> tuple[np.ndarray, int] | None:
    """The array of `[array, datatype]`, and what stands for the datatype.

    That is its identity if it is one of MPI's own: others may come and go.
    """
    if type(buf) in (list, tuple) and len(buf) == 2:
        data, datatype = buf
        if type(data) is _Array and id(datatype) in DATATYPES:
            return data, id(datatype)
    return None


def call_one(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    buf: Any,
    buffers: tuple,
    root: int | None,
    op: Op | None,
    parameters: dict[str, Any],
    within: str = "",
) -> None:
    """`call` with one buffer, and perhaps MPI.IN_PLACE or None: quicker for the usual ones.

    Which of these two it is follows from the primitive, the root and the rank.
    """
    if type(buf) is not _Array or parameters or (root is not None and type(root) is not int):
        _call_spelled_one(comm, primitive, algorithm, buf, buffers, root, op, parameters, within)
        return
    replays, key = getattr(comm, "_replays", None), None
    try:
        if replays is None:
            replays = PLAIN[comm.handle]
        key = (
            primitive, algorithm, root, id(op), registry.revision,
            buffers[0] is buf, _address(buf), buf.size, buf.dtype, buf.flags.num,
        )  # fmt: skip
        calls = replays[key]
    except NOT_KEPT:
        pass
    else:
        for each in calls:
            each()
        return
    _look_closer(comm, key, primitive, algorithm, buffers, root, op, None, None, within)


def _call_spelled_one(
    comm: Communicator,
    primitive: str,
    algorithm: str | None,
    buf: Any,
    buffers: tuple,
    root: int | None,
    op: Op | None,
    parameters: dict[str, Any],
    within: str = "",
) -> None:
    """`call_one` where the buffer is more than an array."""
    typed = _typed(buf)
    if not typed or parameters or not _is_root(root):
        call(comm, primitive, algorithm, buffers, root, op, parameters, None, within)
        return
    data, datatype = typed
    try:
        key = (
            primitive, algorithm, root, id(op), datatype, registry.revision,
            buffers[0] is buf, _address(data), data.size, data.dtype, data.flags.num,
        )  # fmt: skip
    except NOT_KEPT:
        key = None
    if not _replay(comm, key):
        _look_closer(comm, key, primitive, algorithm, buffers, root, op, None, None, within)


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
