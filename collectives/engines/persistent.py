"""The persistent engine: the messages of a plan are set up once.

Each message of the plan becomes a persistent request of MPI; a round is then
started and waited for with nothing to look up, whatever the buffers hold by now.
"""

from __future__ import annotations

from collections.abc import Callable

from mpi4py import MPI

from collectives.engines.stages import Call, Stage

# Up to this many requests, starting each and waiting for each is quicker than
# to build MPI's array of them.
FEW = 2


class Setup:
    """The persistent requests of a plan's stages.

    Parameters
    ----------
    stages : list of Stage
    comm : MPI.Intracomm
    tag : int
    """

    def __init__(self, stages: list[Stage], comm: MPI.Intracomm, tag: int):
        self.stages = stages
        self.requests = {id(stage): _set_up(stage, comm, tag) for stage in stages}

    def post(self, stage: Stage) -> list[MPI.Prequest]:
        """Start the messages of a stage."""
        requests = self.requests.get(id(stage), [])
        if len(requests) <= FEW:
            for request in requests:
                request.Start()
        else:
            MPI.Prequest.Startall(requests)
        return requests

    def calls(self) -> list[Call]:
        """The calls that carry out the plan, each stage to its end before the next."""
        calls: list[Call] = []
        for stage in self.stages:
            calls += [*stage.before, *_transfers(self.requests[id(stage)]), *stage.after]
        return calls

    def free(self) -> None:
        """Give the requests back to MPI; none may be active."""
        for requests in self.requests.values():
            for request in requests:
                request.Free()
        self.requests.clear()


def _set_up(stage: Stage, comm: MPI.Intracomm, tag: int) -> list[MPI.Prequest]:
    requests = [comm.Recv_init(buf, source, tag) for buf, source in stage.recvs]
    return requests + [comm.Send_init(buf, dest, tag) for buf, dest in stage.sends]


def _transfers(requests: list[MPI.Prequest]) -> list[Call]:
    if not requests:
        return []
    if len(requests) <= FEW:
        methods: list[Callable] = [request.Start for request in requests]
        methods += [request.Wait for request in requests]
        return [(method, ()) for method in methods]
    return [(MPI.Prequest.Startall, (requests,)), (MPI.Prequest.Waitall, (requests,))]
