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
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.stages import Stage

# All messages of a communicator's lane are ours and arrive in order, so one tag is enough
# for the collectives.
TAG = 0


def compile_stages(stages: list[Stage], lane: Lane, tag: int = TAG) -> list[Call]:
    """The calls that carry out stages, in order."""
    calls: list[Call] = []
    for stage in stages:
        calls += stage.before + _transfers(stage.sends, stage.recvs, lane, tag) + stage.after
    return calls


def run(calls: list[Call]) -> None:
    """Carry out the calls of a plan."""
    for call in calls:
        call()


def _transfers(sends: list, recvs: list, lane: Lane, tag: int) -> list[Call]:
    comm = lane.comm
    sends = [(buf, *lane.to(dest, tag)) for buf, dest in sends]
    recvs = [(buf, *lane.of(source, tag)) for buf, source in recvs]
    if len(sends) == len(recvs) == 1:
        return [partial(comm.Sendrecv, *sends[0], *recvs[0])]
    if len(sends) == 1 and not recvs:
        return [partial(comm.Send, *sends[0])]
    if len(recvs) == 1 and not sends:
        return [partial(comm.Recv, *recvs[0])]
    return [partial(_exchange, comm, sends, recvs)] if sends or recvs else []


def _exchange(comm: MPI.Intracomm, sends: list, recvs: list) -> None:
    """Any number of messages, all in flight together."""
    requests = [comm.Irecv(*message) for message in recvs]
    requests += [comm.Isend(*message) for message in sends]
    MPI.Request.Waitall(requests)
