"""The blocking engine: a plan over an mpi4py communicator.

Each round becomes a few calls with all their arguments made in advance, so that
a replay has nothing left to decide. A round with one message each way is a
Sendrecv, one with a single message a Send or a Recv; otherwise all its messages
are posted at once and waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.steps import copy
from collectives.buffers import array_at
from collectives.engines.driver import Message, Round, views_of
from collectives.engines.plan import Plan
from collectives.operators import Operator

Call = tuple[Callable[..., Any], tuple[Any, ...]]

# All messages of a communicator's private duplicate are ours and arrive in
# order, so one tag is enough for the collectives.
TAG = 0


def compile_plan(
    plan: Plan, comm: MPI.Intracomm, operator: Operator, tag: int = TAG
) -> tuple[list[Call], int]:
    """The calls that carry out a plan, in order, and the bytes that they pack messages in."""
    calls: list[Call] = []
    packed: list[np.ndarray] = []
    for round_ in plan.rounds:
        calls += _messages(round_, comm, tag, packed)
        for step in round_.local:
            if isinstance(step, copy):
                calls += _copies(list(views_of(step.src)), list(views_of(step.dst)))
            else:
                calls.append(_reduction(operator, step))
    return calls, sum(memory.nbytes for memory in packed)


def run(calls: list[Call]) -> None:
    """Carry out the calls of a plan."""
    for function, arguments in calls:
        function(*arguments)


def _reduction(operator: Operator, step) -> Call:
    return operator.kernel, (step.inbuf, step.inoutbuf, step.out)


def _messages(round_: Round, comm: MPI.Intracomm, tag: int, packed: list[np.ndarray]) -> list[Call]:
    """Pack, send and receive, unpack; the memory for it goes to `packed`."""
    before: list[Call] = []
    after: list[Call] = []
    sends = [(_pack(message, before, packed), message.peer) for message in round_.sends]
    recvs = [(_unpack(message, after, packed), message.peer) for message in round_.recvs]
    return [*before, *_transfers(sends, recvs, comm, tag), *after]


def _transfers(sends: list, recvs: list, comm: MPI.Intracomm, tag: int) -> list[Call]:
    if len(sends) == len(recvs) == 1:
        [(sendbuf, dest)], [(recvbuf, source)] = sends, recvs
        return [(comm.Sendrecv, (sendbuf, dest, tag, recvbuf, source, tag))]
    if len(sends) == 1 and not recvs:
        return [(comm.Send, (sends[0][0], sends[0][1], tag))]
    if len(recvs) == 1 and not sends:
        return [(comm.Recv, (recvs[0][0], recvs[0][1], tag))]
    return [(_exchange, (comm, tag, sends, recvs))] if sends or recvs else []


def _exchange(comm: MPI.Intracomm, tag: int, sends: list, recvs: list) -> None:
    """Any number of messages, all in flight together."""
    requests = [comm.Irecv(recvbuf, source, tag) for recvbuf, source in recvs]
    requests += [comm.Isend(sendbuf, dest, tag) for sendbuf, dest in sends]
    MPI.Request.Waitall(requests)


def _pack(message: Message, before: list[Call], packed: list[np.ndarray]) -> tuple:
    views = merge(message.views)
    if len(views) <= 1:
        return _spec(views)
    packed.append(np.empty(sum(v.size for v in views), views[0].dtype))
    before.append((np.concatenate, (views, 0, packed[-1])))
    return _spec(packed[-1:])


def _unpack(message: Message, after: list[Call], packed: list[np.ndarray]) -> tuple:
    views = merge(message.views)
    if len(views) <= 1:
        return _spec(views)
    packed.append(np.empty(sum(v.size for v in views), views[0].dtype))
    after += _copies(packed[-1:], views)
    return _spec(packed[-1:])


def _spec(views: list[np.ndarray]) -> tuple:
    """A message as mpi4py takes it, with nothing left to look up.

    Both sides agree on the layout, so the data travel as bytes. mpi4py's own
    buffer object is read faster than an array; the plan keeps the memory alive.
    """
    if not views:
        return None, 0, MPI.BYTE
    return _buffer(views[0]), views[0].nbytes, MPI.BYTE


def _buffer(view: np.ndarray) -> MPI.buffer:
    return MPI.buffer.fromaddress(MPI.Get_address(view), view.nbytes)


def _copies(src: list[np.ndarray], dst: list[np.ndarray]) -> list[Call]:
    """Copy `src`, end to end, into `dst`, piece by piece where both are whole."""
    calls: list[Call] = []
    sources, targets = [v for v in src if v.size], [v for v in dst if v.size]
    while sources:
        size = min(sources[0].size, targets[0].size)
        calls.append((np.copyto, (targets[0][:size], sources[0][:size])))
        for queue in (sources, targets):
            queue[0] = queue[0][size:]
            if not queue[0].size:
                queue.pop(0)
    return calls


def merge(views: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Join views that are neighbours in memory; drop empty ones."""
    filled = [view for view in views if view.size]
    if len(filled) <= 1:
        return filled
    spans = [[MPI.Get_address(filled[0]), filled[0].nbytes]]
    for view in filled[1:]:
        address = MPI.Get_address(view)
        if address == spans[-1][0] + spans[-1][1]:
            spans[-1][1] += view.nbytes
        else:
            spans.append([address, view.nbytes])
    if len(spans) == len(filled):
        return filled
    # The memory belongs to the views that are joined; the plan keeps those.
    return [array_at(address, nbytes, filled[0].dtype) for address, nbytes in spans]
