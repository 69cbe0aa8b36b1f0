"""The nonblocking engine: a plan that is advanced by whoever has time.

An operation starts the messages of a stage and returns. `advance` goes on as far
as the messages that have arrived allow, and never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from time import sleep

from mpi4py import MPI

from collectives.engines.blocking import run
from collectives.engines.stages import Stage

Post = Callable[[Stage], list]

_NOTHING = Stage()


class Operation:
    """One collective on its way.

    Parameters
    ----------
    stages : iterator of Stage
        The next one is asked for when the one before has ended, so that it may
        depend on what has arrived.
    post : callable
        Starts the messages of a stage and returns their requests.
    ended : callable
        Called once, when the operation has ended or failed.
    before : Operation, optional
        Has to end before this one starts.

    Attributes
    ----------
    turn : list
        A lock that costs half as much as Python's, which is felt at a few bytes: whoever takes
        out what is in it may touch the operation, and puts it back.
    """

    def __init__(
        self,
        stages: Iterator[Stage],
        post: Post,
        ended: Callable[[], None],
        before: Operation | None = None,
    ):
        self.stages = stages
        self.post = post
        self.ended = ended
        self.before = before
        self.stage = _NOTHING
        self.requests: list[MPI.Request] = []
        self.statuses: list[MPI.Status] = []
        self.rounds = 0  # begun
        self.done = False
        self.error: BaseException | None = None
        self.turn: list[None] = [None]

    def claim(self) -> None:
        """Take the turn; wait for whoever has it, which is never long."""
        while True:
            try:
                return self.turn.pop()
            except IndexError:
                sleep(0)  # lets other threads run

    def advance(self) -> bool:
        """Go as far as possible without waiting; return whether there was any progress."""
        try:
            self.turn.pop()
        except IndexError:
            return False  # another thread is at it
        try:
            return not self.done and self._go(MPI.Request.Testall)
        finally:
            self.turn.append(None)

    def finish(self) -> None:
        """Go to the end, waiting for every stage."""
        self.claim()
        try:
            self._go(MPI.Request.Waitall)
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
                request.Cancel()
                request.Wait()
            self._end(error)
        finally:
            self.turn.append(None)

    def _go(self, arrived: Callable[[list, list], bool]) -> bool:
        if self.before is not None:
            if not self.before.done:
                return False
            self.before = None
        progress = False
        try:
            while not self.done and (not self.requests or arrived(self.requests, self.statuses)):
                progress = True
                run(self.stage.after)
                self._begin_stage()
        except BaseException as error:  # whoever waits for the operation gets it
            self._end(_cause(error, self.statuses))
        return progress

    def _begin_stage(self) -> None:
        stage = next(self.stages, None)
        if stage is None:
            self._end()
            return
        self.stage = stage
        self.rounds += 1
        run(stage.before)
        self.requests = self.post(stage)

    def _end(self, error: BaseException | None = None) -> None:
        self.error = error
        self.stage, self.requests, self.stages = _NOTHING, [], iter(())
        self.done = True
        ended, self.ended = self.ended, nothing  # or we would keep each other
        ended()


def _cause(error: BaseException, statuses: list[MPI.Status]) -> BaseException:
    """The error itself, where MPI only says that one of several messages has one."""
    if isinstance(error, MPI.Exception) and error.Get_error_class() == MPI.ERR_IN_STATUS:
        for status in statuses:
            if status.error not in (MPI.SUCCESS, MPI.ERR_PENDING):
                return MPI.Exception(status.error)
    return error


def nothing() -> None:
    """Nobody has to be told."""


def poster(comm: MPI.Intracomm, tag: int) -> Post:
    """What starts the messages of a stage, on a communicator and with a tag."""

    def post(stage: Stage) -> list[MPI.Request]:
        requests = [comm.Irecv(buf, source, tag) for buf, source in stage.recvs]
        return requests + [comm.Isend(buf, dest, tag) for buf, dest in stage.sends]

    return post


class Lanes:
    """The tags of a communicator's operations in flight.

    Every operation takes the next tag, and all ranks start operations in the
    same order, so messages of two never mix. When the numbers come round again,
    an operation that finds its tag in use starts after the one that has it. To
    skip the tag instead would be wrong: which operations are still in flight
    differs from rank to rank.

    Parameters
    ----------
    first, last : int
        The tags.
    """

    def __init__(self, first: int, last: int):
        self.first = first
        self.last = last
        self.next = first
        self.latest: dict[int, Operation] = {}
        self._lock = Lock()

    def enter(self) -> tuple[int, Operation | None]:
        """The tag for one more operation, and whom it has to follow."""
        tag = self.next
        self.next = tag + 1 if tag < self.last else self.first
        with self._lock:
            return tag, self.latest.pop(tag, None)

    def occupy(self, tag: int, operation: Operation) -> None:
        """Remember who has a tag."""
        self.latest[tag] = operation

    def leave(self, tag: int, operation: Operation) -> None:
        """Forget who had a tag."""
        with self._lock:
            if self.latest.get(tag) is operation:
                del self.latest[tag]
