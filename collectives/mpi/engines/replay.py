"""The persistent engine: the messages of a plan are set up once.

Each message of the plan becomes a persistent request of MPI; a round is then
started and waited for with nothing to look up, whatever the buffers hold by now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial

from mpi4py import MPI

from collectives.engines.packing import Call, Work
from collectives.mpi.engines.calls import GivenUp, go_on, run
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import OPERATIONS
from collectives.mpi.engines.stages import Stage, nbytes

# Up to this many requests, starting each and waiting for each is quicker than
# to build MPI's array of them.
FEW = 2

# Open MPI's persistent sends wait for their receiver. Its other sends do not, up to this
# many bytes, and that is worth more than what is looked up anew. Of an empty message, which
# only barriers send, it is not. (MPICH's do not wait, up to some thousand bytes.)
BUFFERED = 256 if MPI.get_vendor()[0] == "Open MPI" else -1


class Transfers:
    """The messages of one stage, set up.

    Parameters
    ----------
    stage : Stage
    lane : Lane
    tag : int

    Attributes
    ----------
    requests : list of MPI.Prequest
    sends : list of calls
        What sends the messages that are sent anew. MPI takes them in, whatever the
        receiver waits for.
    """

    def __init__(self, stage: Stage, lane: Lane, tag: int):
        comm, to, of = lane.comm, lane.to, lane.of
        self.requests = [comm.Recv_init(buf, *of(source, tag)) for buf, source in stage.recvs]
        self.sends: list[Call] = []
        if all(0 < nbytes(message) <= BUFFERED for message in stage.sends):
            self.sends = [partial(comm.Send, buf, *to(dest, tag)) for buf, dest in stage.sends]
        else:
            self.requests += [comm.Send_init(buf, *to(dest, tag)) for buf, dest in stage.sends]

    @property
    def starts(self) -> list[Call]:
        """The calls that start all messages, and do not wait."""
        if len(self.requests) <= FEW:
            return [*[request.Start for request in self.requests], *self.sends]
        return [partial(MPI.Prequest.Startall, self.requests), *self.sends]

    @property
    def waits(self) -> list[Call]:
        """The calls that wait for its requests."""
        if len(self.requests) <= FEW:
            return [request.Wait for request in self.requests]
        return [partial(MPI.Prequest.Waitall, self.requests)]


class Setup:
    """A plan's stages with their messages set up.

    Parameters
    ----------
    stages : list of Stage
        Without any there is one that has nothing to do.
    lane : Lane
    tag : int
    """

    transfers_of = Transfers

    def __init__(self, stages: list[Stage], lane: Lane, tag: int):
        self.lane = lane
        self.stages = stages or [Stage()]
        self.transfers = [self.transfers_of(stage, lane, tag) for stage in self.stages]

    def calls(self) -> list[Call]:
        """The calls that carry out the plan, each stage to its end before the next."""
        calls: list[Call] = []
        for stage, messages in zip(self.stages, self.transfers):
            calls += [*stage.before, *messages.starts, *messages.waits, *stage.after]
        return calls

    @cached_property
    def rests(self) -> list[list[Call]]:
        """The calls that remain when 0, 1, 2, ... stages have been posted."""
        rests: list[list[Call]] = [[]]
        for stage, messages in zip(reversed(self.stages), reversed(self.transfers)):
            rests[-1] = [*messages.waits, *stage.after, *rests[-1]]
            rests.append([*stage.before, *messages.starts, *rests[-1]])
        return rests[::-1]

    def free(self) -> None:
        """Give the requests back to MPI; none may be active."""
        for messages in self.transfers:
            for request in messages.requests:
                request.Free()
        self.transfers.clear()


def _messages(calls: list[Call]) -> list[Call]:
    return [call for call in calls if not isinstance(call, Work)]


class Replay(Operation):
    """An operation whose messages are set up, to be started again and again.

    Parameters
    ----------
    setup : Setup
    signal : MPI.Prequest
        Receives the message that whoever waits in MPI has sent: the end of each run.
    tick : callable
        Called at the start of each run.

    Attributes
    ----------
    first : int
        The first stage that has something to do.
    opening : list of calls
        What starts it.
    rests : list of list of calls
        What remains when 0, 1, 2, ... stages have been posted.
    """

    def __init__(self, setup: Setup, signal: MPI.Prequest, tick: Call):
        super().__init__(iter(()))
        self.setup = setup
        self.signal = signal
        self.receive, self.received = signal.Start, signal.Wait
        # What has nothing to do is over at once.
        self.first = next((i for i, stage in enumerate(setup.stages) if stage.size), 0)
        self.opening = [
            tick,
            *setup.stages[self.first].before,
            *setup.transfers[self.first].starts,
        ]
        self.rests = setup.rests
        self.rounds = self.first + 1
        self.done = True
        self._caught_up = False

    def restart(self) -> None:
        """Begin again: start the messages of the opening stage. The run before has ended.

        The caller has the turn.
        """
        self.done = self.lost = False
        OPERATIONS[self] = None
        rest, call = iter(self.opening), None
        try:
            for call in rest:
                call()
        except BaseException as error:
            self._finish(rest, call, error)

    def run_out(self) -> None:
        """Go to the end, waiting for every stage. The caller has the turn.

        What `finish` and `_end` would do is spelled out here for the usual case.
        """
        calls = self.rests[self.rounds]
        rest, call = iter(_messages(calls) if self.lost else calls), None
        try:
            for call in rest:
                call()
        except BaseException as error:
            self._finish(rest, call, error)
            if self.done:
                return
        del OPERATIONS[self]
        self.receive()
        self.received()
        if self._caught_up:
            self.rounds, self._caught_up = self.first + 1, False
        self.done = True

    def _finish(self, rest: Iterator[Call], call: Call | None, error: BaseException) -> None:
        """Start the remaining messages after an error, which whoever waits gets."""
        try:
            self.lost = go_on(rest, call, error) or self.lost
            self.error = self.error or error
        except GivenUp as given_up:
            self._end(given_up.__cause__)
        except BaseException as failed:
            self._end(failed)

    def _go(self, completed: Callable[[list[MPI.Request]], bool]) -> bool:
        if not self._caught_up:  # what most runs never need
            self.stages = iter(self.setup.stages[self.rounds :])
            self.stage = self.setup.stages[self.first]
            self.requests = [*self.setup.transfers[self.first].requests]
            self._caught_up = True
        return super()._go(completed)

    def _post(self, stage: Stage) -> list[MPI.Request]:
        """Start the messages of a stage, the next one."""
        messages = self.setup.transfers[self.rounds - 1]
        run(messages.starts)
        return [*messages.requests]

    def _end(self, error: BaseException | None = None) -> None:
        del OPERATIONS[self]
        self.receive()
        self.received()
        if error is not None:
            self.lost, self.error = True, error
            self.setup.lane.spoilt = True
        self.rounds, self._caught_up = self.first + 1, False
        self.done = True  # not before: the message, still pending, would look like a new start
