"""The nonblocking engine: a plan that is advanced by whoever has time.

An operation starts the messages of a stage and returns. `advance` goes on as far
as the messages that have arrived allow, and never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import sleep

from mpi4py import MPI

from collectives.engines.packing import Call, Work
from collectives.mpi.engines.shield import SHIELD
from collectives.mpi.engines.stages import Stage

_NOTHING = Stage()


class Operation:
    """One collective on its way.

    Parameters
    ----------
    stages : iterator of Stage
        The next one is asked for when the one before has ended, so that it may
        depend on what has arrived.
    before : Operation, optional
        Has to end before this one starts.

    Attributes
    ----------
    turn : list
        A lock that costs half as much as Python's, which is felt at a few bytes: whoever takes
        out what is in it may touch the operation, and puts it back.
    error : BaseException or None
        Raised when it has ended.
    lost : bool
        Whether this rank's own work has failed: then only the messages go on.
    """

    __slots__ = ("before", "done", "error", "lost", "requests", "rounds", "stage", "stages", "turn")

    def __init__(self, stages: Iterator[Stage], before: Operation | None = None):
        self.stages = stages
        self.before = before
        self.stage = _NOTHING
        self.requests: list[MPI.Request] = []  # of the stage; those that have ended go
        self.rounds = 0  # begun
        self.done = False
        self.error: BaseException | None = None
        self.lost = False
        self.turn: list[None] = [None]

    def _post(self, stage: Stage) -> list:
        """Start the messages of a stage and return their requests."""
        raise NotImplementedError

    def _ended(self, left: list[MPI.Request]) -> None:
        """Called once, when the operation has ended or failed; then messages may be left."""

    def claim(self) -> None:
        """Take the turn; wait for whoever has it, which is never long."""
        while True:
            try:
                return self.turn.pop()
            except IndexError:
                sleep(0)  # lets other threads run
            except BaseException:  # a signal's handler has raised when it was ours
                self.turn.append(None)
                raise

    def advance(self) -> bool:
        """Go as far as possible without waiting; return whether there was any progress."""
        try:
            self.turn.pop()
        except IndexError:
            return False  # another thread is at it
        except BaseException:  # a signal's handler has raised when it was ours
            self.turn.append(None)
            raise
        try:
            return not self.done and self._go(arrived)
        finally:
            self.turn.append(None)

    def finish(self) -> None:
        """Go to the end, waiting for every stage."""
        self.claim()
        try:
            self._go(awaited)
        finally:
            self.turn.append(None)

    def pending(self) -> list[tuple[str, int]]:
        """The messages that it waits for: "recv from" or "send to", and a rank."""
        self.claim()
        try:
            steps = [("recv from", peer) for _, peer in self.stage.recvs]
            steps += [("send to", peer) for _, peer in self.stage.sends]
            pairs = zip(steps, self.requests)
            return [step for step, request in pairs if not request.Get_status()]
        finally:
            self.turn.append(None)

    def abandon(self, error: BaseException) -> None:
        """End with an error. What has not arrived is not taken any more."""
        self.claim()
        try:
            if self.done:
                return
            for request in self.requests[: len(self.stage.recvs)]:
                if request:
                    request.Cancel()
                    request.Wait()
            self._end(error)
        finally:
            self.turn.append(None)

    def _go(self, completed: Callable[[list[MPI.Request]], bool]) -> bool:
        if self.before is not None:
            if not self.before.done:
                return False
            self.before = None
        progress = False
        try:
            while not self.done and (not self.requests or self._completed(completed)):
                progress = True
                self._work(self.stage.after)
                stage = next(self.stages, None)
                if stage is None:
                    self._end()
                    break
                self.stage = stage
                self.rounds += 1
                self._work(stage.before)
                self.requests = self._post(stage)
        except BaseException as error:  # whoever waits for the operation gets it
            self._end(error)
        return progress

    def _completed(self, completed: Callable[[list[MPI.Request]], bool]) -> bool:
        """Whether the messages have ended; a signal's handler that raises meanwhile has to wait."""
        while True:
            try:
                return completed(self.requests)
            except (MPI.Exception, MemoryError):
                raise
            except BaseException as error:
                if self.error is not None or error is SHIELD.insistent:
                    raise  # the second signal: nobody waits longer
                self.error = error

    def _work(self, calls: list[Call]) -> None:
        """Carry out this rank's own work, unless some has failed: then only messages go on."""
        for call in calls:
            if not self.lost or not isinstance(call, Work):
                try:
                    call()
                except BaseException as error:
                    if error is SHIELD.insistent:
                        raise
                    self.lost, self.error = True, self.error or error

    def _end(self, error: BaseException | None = None) -> None:
        if error is not None:
            self.lost = True
            if self.error is None or self.requests:
                self.error = error
        left, self.requests = self.requests, []
        self.stage, self.stages = _NOTHING, iter(())
        self.done = True
        self._ended(left)


# One by one is quicker than all at once, whose arrays and statuses MPI's binding has to build,
# and an error is then that of the message that has it.


def arrived(requests: list[MPI.Request]) -> bool:
    """Take away the requests at the end of a list that have ended; return whether all have."""
    while requests:
        if not requests[-1].Test():
            return False
        del requests[-1]
    return True


def awaited(requests: list[MPI.Request]) -> bool:
    """Wait for all requests of a list, and take them away."""
    while requests:
        requests[-1].Wait()
        del requests[-1]
    return True
