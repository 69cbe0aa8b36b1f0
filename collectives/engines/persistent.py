"""The persistent engine: the messages of a plan are set up once.

Each message of the plan becomes a persistent request of MPI; a round is then
started and waited for with nothing to look up, whatever the buffers hold by now.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from mpi4py import MPI

from collectives.engines.nonblocking import Operation
from collectives.engines.progress import PROGRESS
from collectives.engines.stages import Call, Stage

# Up to this many requests, starting each and waiting for each is quicker than
# to build MPI's array of them.
FEW = 2

# Open MPI's persistent sends wait for their receiver. Its other sends do not, up to this
# many bytes. That is worth more than what is looked up anew, if a rank may be ahead of
# more than one other. (MPICH's do not wait, up to some thousand bytes.)
BUFFERED = 256 if MPI.get_vendor()[0] == "Open MPI" else -1


class Setup:
    """The persistent requests of a plan's stages.

    Parameters
    ----------
    stages : list of Stage
        Without any there is one that has nothing to do.
    comm : MPI.Intracomm
    tag : int
    """

    def __init__(self, stages: list[Stage], comm: MPI.Intracomm, tag: int):
        self.stages = stages or [Stage()]
        self.comm, self.tag = comm, tag
        self.detaches = comm.Get_size() > 2
        self.requests = {id(stage): _set_up(stage, comm, tag) for stage in self.stages}

    def post(self, stage: Stage) -> list[MPI.Prequest]:
        """Start the messages of a stage."""
        requests = self.requests[id(stage)]
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
            calls += [*stage.before, *self._exchange(stage), *stage.after]
        return calls

    def _exchange(self, stage: Stage) -> list[Call]:
        """The calls that see the messages of a stage through."""
        requests = self.requests[id(stage)]
        if self.detaches and len(stage.sends) == 1 and stage.sends[0][0][1] <= BUFFERED:
            # The receives have been started, so that a send that waits is safe, too.
            starts, waits = _transfers(requests[: len(stage.recvs)])
            [(buf, dest)] = stage.sends
            return [*starts, (self.comm.Send, (buf, dest, self.tag)), *waits]
        starts, waits = _transfers(requests)
        return starts + waits

    @cached_property
    def opening(self) -> list[Call]:
        """The calls that begin the plan: those of its first stage that do not wait."""
        first = self.stages[0]
        return [*first.before, *_transfers(self.requests[id(first)])[0]]

    @cached_property
    def rests(self) -> list[list[Call]]:
        """The calls that remain when 0, 1, 2, ... stages have been posted."""
        rests: list[list[Call]] = [[]]
        for stage in reversed(self.stages):
            starts, waits = _transfers(self.requests[id(stage)])
            rests[-1] = [*waits, *stage.after, *rests[-1]]
            rests.append([*stage.before, *starts, *rests[-1]])
        return rests[::-1]

    def free(self) -> None:
        """Give the requests back to MPI; none may be active."""
        for requests in self.requests.values():
            for request in requests:
                request.Free()
        self.requests.clear()


def _set_up(stage: Stage, comm: MPI.Intracomm, tag: int) -> list[MPI.Prequest]:
    requests = [comm.Recv_init(buf, source, tag) for buf, source in stage.recvs]
    return requests + [comm.Send_init(buf, dest, tag) for buf, dest in stage.sends]


def _transfers(requests: list[MPI.Prequest]) -> tuple[list[Call], list[Call]]:
    """The calls that start messages, and those that wait for them."""
    if not requests:
        return [], []
    if len(requests) <= FEW:
        starts: list[Callable] = [request.Start for request in requests]
        waits: list[Callable] = [request.Wait for request in requests]
        return [(start, ()) for start in starts], [(wait, ()) for wait in waits]
    return [(MPI.Prequest.Startall, (requests,))], [(MPI.Prequest.Waitall, (requests,))]


class Replay(Operation):
    """An operation whose messages are set up, to be started again and again.

    What `run`, `PROGRESS` and `with` would do is spelled out here and in
    `collectives.requests`: it would be a fifth of the time that a start and its end take
    at a few bytes.

    Parameters
    ----------
    setup : Setup
    bell : MPI.Prequest
        Receives the message that whoever waits in MPI has sent: the end of each run.
    """

    def __init__(self, setup: Setup, bell: MPI.Prequest):
        super().__init__(iter(()), setup.post, _nothing)
        self.setup = setup
        self.bell = bell
        self.opening = setup.opening
        self.rests = setup.rests
        self.rounds = 1
        self.done = True
        self._caught_up = False

    def restart(self) -> None:
        """Begin again: start the messages of the first stage. The run before has ended.

        The caller holds the lock.
        """
        self.done = False
        PROGRESS.operations[self] = None
        if not PROGRESS.awake:
            PROGRESS.wake()
        try:
            for function, arguments in self.opening:
                function(*arguments)
        except BaseException as error:  # whoever waits for the operation gets it
            self._end(error)

    def finish(self) -> None:
        self.lock.acquire()
        try:
            if self.done:
                return
            for function, arguments in self.rests[self.rounds]:
                function(*arguments)
        except BaseException as error:
            self._end(error)
        else:
            self._end()
        finally:
            self.lock.release()

    def _go(self, arrived: Callable[[list, list], bool]) -> bool:
        if not self._caught_up:  # what most runs never need
            self.stages = iter(self.setup.stages)
            self.stage = next(self.stages)
            self.requests = [*self.setup.requests[id(self.stage)]]
            self._caught_up = True
        return super()._go(arrived)

    def _end(self, error: BaseException | None = None) -> None:
        del PROGRESS.operations[self]
        self.bell.Start()
        self.bell.Wait()
        self.error = error
        self.rounds, self._caught_up = 1, False
        self.done = True  # not before: what waits in the bell would look like a new start


def _nothing() -> None:
    pass
