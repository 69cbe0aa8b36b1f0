"""The blocking engine: a plan over an mpi4py communicator.

Each round becomes a few calls with all their arguments made in advance, so that
a replay has nothing left to decide. A round with one message each way is a
Sendrecv, one with a single message a Send or a Recv; otherwise all its messages
are posted at once and waited for.
"""

from __future__ import annotations

from functools import partial

from mpi4py import MPI

from collectives.engines.packing import Call
from collectives.mpi.engines.stages import Stage

# All messages of a communicator's private duplicate are ours and arrive in
# order, so one tag is enough for the collectives.
TAG = 0


def compile_stages(stages: list[Stage], comm: MPI.Intracomm, tag: int = TAG) -> list[Call]:
    """The calls that carry out stages, in order."""
    calls: list[Call] = []
    for stage in stages:
        calls += stage.before + _transfers(stage.sends, stage.recvs, comm, tag) + stage.after
    return calls


def run(calls: list[Call]) -> None:
    """Carry out the calls of a plan."""
    for call in calls:
        call()


def _transfers(sends: list, recvs: list, comm: MPI.Intracomm, tag: int) -> list[Call]:
    if len(sends) == len(recvs) == 1:
        [(sendbuf, dest)], [(recvbuf, source)] = sends, recvs
        return [partial(comm.Sendrecv, sendbuf, dest, tag, recvbuf, source, tag)]
    if len(sends) == 1 and not recvs:
        [(sendbuf, dest)] = sends
        return [partial(comm.Send, sendbuf, dest, tag)]
    if len(recvs) == 1 and not sends:
        [(recvbuf, source)] = recvs
        return [partial(comm.Recv, recvbuf, source, tag)]
    return [partial(_exchange, comm, tag, sends, recvs)] if sends or recvs else []


def _exchange(comm: MPI.Intracomm, tag: int, sends: list, recvs: list) -> None:
    """Any number of messages, all in flight together."""
    requests = [comm.Irecv(recvbuf, source, tag) for recvbuf, source in recvs]
    requests += [comm.Isend(sendbuf, dest, tag) for sendbuf, dest in sends]
    MPI.Request.Waitall(requests)
