"""The persistent engine: the messages of a plan are set up once.

Each message of the plan becomes a persistent request of MPI; a round is then
started and waited for with nothing to look up, whatever the buffers hold by now.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

from mpi4py import MPI

from collectives.engines.blocking import run
from collectives.engines.nonblocking import Operation
from collectives.engines.progress import PROGRESS
from collectives.engines.stages import Call, Message, Stage

# Up to this many requests, starting each and waiting for each is quicker than
# to build MPI's array of them.
FEW = 2

# Open MPI's persistent sends wait for their receiver. Its other sends do not, up to this
# many bytes, and that is worth more than what is looked up anew. Of an empty message, which
# only barriers send, it is not. (MPICH's do not wait, up to some thousand bytes.)
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
        self.requests: dict[int, list[MPI.Prequest]] = {}
        self.sends: dict[int, list[Send]] = {}  # those that are not persistent
        for stage in self.stages:
            requests = [comm.Recv_init(buf, source, tag) for buf, source in stage.recvs]
            sends: list[Send] = []
            if all(0 < _nbytes(message) <= BUFFERED for message in stage.sends):
                sends = [Send(comm, buf, dest, tag) for buf, dest in stage.sends]
            else:
                requests += [comm.Send_init(buf, dest, tag) for buf, dest in stage.sends]
            self.requests[id(stage)], self.sends[id(stage)] = requests, sends

    def post(self, stage: Stage) -> list[MPI.Request]:
        """Start the messages of a stage."""
        starts, _ = self._transfers(stage)
        run(starts)
        return self.started(stage)

    def started(self, stage: Stage) -> list[MPI.Request]:
        """The requests of a stage whose messages have been started."""
        return [*self.requests[id(stage)], *[send.request for send in self.sends[id(stage)]]]

    def calls(self) -> list[Call]:
        """The calls that carry out the plan, each stage to its end before the next."""
        calls: list[Call] = []
        for stage in self.stages:
            starts, waits = _persistent(self.requests[id(stage)])
            # These messages are taken in by MPI whatever the receiver waits for.
            sends = [send.complete for send in self.sends[id(stage)]]
            calls += [*stage.before, *starts, *sends, *waits, *stage.after]
        return calls

    @cached_property
    def opening(self) -> list[Call]:
        """The calls that begin the plan: those of its first stage that do not wait."""
        first = self.stages[0]
        return [*first.before, *self._transfers(first)[0]]

    @cached_property
    def rests(self) -> list[list[Call]]:
        """The calls that remain when 0, 1, 2, ... stages have been posted."""
        rests: list[list[Call]] = [[]]
        for stage in reversed(self.stages):
            starts, waits = self._transfers(stage)
            rests[-1] = [*waits, *stage.after, *rests[-1]]
            rests.append([*stage.before, *starts, *rests[-1]])
        return rests[::-1]

    def _transfers(self, stage: Stage) -> tuple[list[Call], list[Call]]:
        """The calls that start the messages of a stage, and those that wait for them."""
        starts, waits = _persistent(self.requests[id(stage)])
        sends = self.sends[id(stage)]
        return [*starts, *[one.start for one in sends]], [*waits, *[one.wait for one in sends]]

    def free(self) -> None:
        """Give the requests back to MPI; none may be active."""
        for requests in self.requests.values():
            for request in requests:
                request.Free()
        self.requests.clear()
        self.sends.clear()


def _persistent(requests: list[MPI.Prequest]) -> tuple[list[Call], list[Call]]:
    """The calls that start requests, and those that wait for them."""
    if len(requests) <= FEW:
        return [request.Start for request in requests], [request.Wait for request in requests]
    return [partial(MPI.Prequest.Startall, requests)], [partial(MPI.Prequest.Waitall, requests)]


class Send:
    """A message that is sent anew each time.

    Parameters
    ----------
    comm : MPI.Intracomm
    buf : buffer
    dest, tag : int
    """

    def __init__(self, comm: MPI.Intracomm, buf: tuple, dest: int, tag: int):
        self.complete = partial(comm.Send, buf, dest, tag)
        self._begin = partial(comm.Isend, buf, dest, tag)
        self.request = MPI.Request()

    def start(self) -> None:
        """Start to send it."""
        self.request = self._begin()

    def wait(self) -> None:
        """Wait until it has been sent."""
        self.request.Wait()


def _nbytes(message: Message) -> int:
    """How long a message is, as the stages spell it."""
    (_, count, datatype), _ = message
    return count * datatype.Get_size()


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
            for call in self.opening:
                call()
        except BaseException as error:  # whoever waits for the operation gets it
            self._end(error)

    def finish(self) -> None:
        self.lock.acquire()
        try:
            if self.done:
                return
            for call in self.rests[self.rounds]:
                call()
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
            self.requests = self.setup.started(self.stage)
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
