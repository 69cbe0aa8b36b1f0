"""Requests that stand for an operation of ours, as good as MPI's own.

A request of ours holds a real request of MPI: the synchronous send of an empty
message from this process to itself, which is received when the operation has
ended. So MPI's own functions can wait for it, alone or in a list with others,
while the thread in `collectives.mpi.engines.progress` advances the operation.
Testing or waiting for it by its own methods advances the operation at once.

With a persistent request, the message also tells that MPI has started it. To ask
MPI for the state of a request that another thread waits for would not do: Open
MPI then says that it is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn

from mpi4py import MPI

from collectives.mpi.data.lifetime import before_finalize
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import OPERATIONS, PROGRESS
from collectives.mpi.engines.replay import Replay, Setup
from collectives.mpi.engines.signals import EMPTY, SIGNALS, Holding
from collectives.mpi.plans.traffic import Flight

Wait = Callable[[Operation], None]

# Quicker than super() in what is called most.
_START, _WAIT = MPI.Prequest.Start, MPI.Request.Wait


class _Ours:
    """What nonblocking and persistent requests of ours have in common."""

    _wait: Callable[[Operation], None]

    def _unreported(self) -> Operation | None:
        """The operation, if its end has not been reported yet."""
        raise NotImplementedError

    def _report(self, operation: Operation) -> None:
        """Raise, once, what the operation ended with."""
        raise NotImplementedError

    def Wait(self, status: MPI.Status | None = None) -> Literal[True]:
        """Wait for the operation."""
        operation = self._unreported()
        if operation is not None:
            self._wait(operation)
        _WAIT(self, status)  # type: ignore[arg-type]
        if operation is not None:
            self._report(operation)
        return True

    def Test(self, status: MPI.Status | None = None) -> bool:
        """Advance the operation; return whether it has ended."""
        return self._advance(super().Test, status)  # type: ignore[misc]

    def Get_status(self, status: MPI.Status | None = None) -> bool:
        """Advance the operation; return whether it has ended, and keep the request."""
        return self._advance(super().Get_status, status)  # type: ignore[misc]

    def wait(self, status: MPI.Status | None = None) -> Any:
        """Wait for the operation."""
        self.Wait(status)

    def test(self, status: MPI.Status | None = None) -> tuple[bool, Any]:
        """Advance the operation; return whether it has ended."""
        return self.Test(status), None

    def get_status(self, status: MPI.Status | None = None) -> bool:
        """Advance the operation; return whether it has ended, and keep the request."""
        return self.Get_status(status)

    def _advance(
        self, look: Callable[[MPI.Status | None], bool], status: MPI.Status | None
    ) -> bool:
        operation = self._unreported()
        if operation is not None and not operation.done:
            PROGRESS.poll()
        ended = look(status)
        if ended and operation is not None:
            self._report(operation)
        return ended

    def Cancel(self) -> NoReturn:
        """MPI does not allow it for collectives."""
        raise MPI.Exception(MPI.ERR_REQUEST)

    cancel = Cancel


class Request(_Ours, MPI.Request):
    """A nonblocking collective in flight.

    Parameters
    ----------
    flight : Flight
        It has not started.
    wait : callable
        `wait(operation)` waits for it.
    held : object
        What has to live until somebody sees that the request has ended.
    """

    _operation: Operation | None = None

    def __new__(cls, flight: Flight, wait: Wait = PROGRESS.wait, held: object = None) -> Request:
        flight.signal = tag = SIGNALS.take()
        message = Holding(held) if held else EMPTY
        self = super().__new__(cls, SIGNALS.comm.Issend(message, 0, tag))
        self._operation, self._wait = flight, wait
        PROGRESS.add(flight)
        flight.advance()
        return self

    def _unreported(self) -> Operation | None:
        return self._operation

    def _report(self, operation: Operation) -> None:
        self._operation = None
        if operation.error is not None:
            raise operation.error

    def __del__(self) -> None:
        # Python prints what is raised here: late and without a caller, but not in silence.
        if self._operation is not None and self._operation.done:
            self._report(self._operation)


class Prequest(_Ours, MPI.Prequest):
    """A persistent collective.

    `MPI.Prequest.Startall` starts it, too: the thread in
    `collectives.mpi.engines.progress` sees that the request has become active.

    Parameters
    ----------
    setup : Setup
        What a start carries out.
    free : callable
        Releases what all starts share.
    tick : callable
        Counts the starts.
    wait : callable
        `wait(operation)` waits for one start's.
    """

    _replay: Replay
    _release: Callable[[], None] | None
    _tag: int

    def __new__(
        cls,
        setup: Setup,
        free: Callable[[], None],
        tick: Callable[[], object],
        wait: Wait = PROGRESS.wait,
    ) -> Prequest:
        tag = SIGNALS.take()
        self = super().__new__(cls, MPI.Prequest(SIGNALS.comm.Ssend_init(EMPTY, 0, tag)))
        self._replay = Replay(setup, SIGNALS.comm.Recv_init(EMPTY, 0, tag), tick)
        self._release, self._wait, self._tag = free, wait, tag
        if not _ALIVE:  # else it has been given already
            before_finalize(_free_all)
        PROGRESS.watch(tag, self._look)
        _ALIVE[tag] = self
        return self

    def Start(self) -> None:
        """Start the operation; what is in the buffers now counts."""
        replay = self._replay
        if replay.error is not None:
            self._report(replay)
        try:
            replay.turn.pop()
        except IndexError:
            replay.claim()
        try:
            _START(self)
            replay.restart()
        finally:
            replay.turn.append(None)

    def Wait(self, status: MPI.Status | None = None) -> Literal[True]:
        """Wait for the operation."""
        replay = self._replay
        if replay.done or len(OPERATIONS) > 1 or PROGRESS.limits:
            return super().Wait(status)
        PROGRESS.polled = True
        try:
            replay.turn.pop()
        except IndexError:
            return super().Wait(status)
        try:
            if not replay.done:
                replay.run_out()
        finally:
            replay.turn.append(None)
        _WAIT(self, status)
        if replay.error is not None:
            self._report(replay)
        return True

    def Free(self) -> None:
        """Release the request; an operation that runs is waited for."""
        self._look()
        replay = self._replay
        if not replay.done:
            self._wait(replay)
            _WAIT(self)
        replay.claim()
        try:
            PROGRESS.unwatch(self._tag)
            super().Free()
            if self._release is not None:
                self._release()
                self._release = None
                del _ALIVE[self._tag]
                replay.signal.Free()
                SIGNALS.give(self._tag)
        finally:
            replay.turn.append(None)
        self._report(replay)

    def free(self) -> None:
        """Release the request unless that has happened."""
        if self:
            self.Free()

    def _unreported(self) -> Operation | None:
        self._look()
        replay = self._replay
        return replay if not replay.done or replay.error is not None else None

    def _report(self, operation: Operation) -> None:
        error, operation.error = operation.error, None
        if error is not None:
            raise error

    def _look(self) -> bool:
        """Start the operation if MPI has started the request; return whether it has."""
        replay = self._replay
        if not replay.done:
            return False
        try:
            replay.turn.pop()
        except IndexError:
            return False
        try:
            started = bool(self) and replay.done and SIGNALS.pending(self._tag)
            if started:
                replay.restart()
            return started
        finally:
            replay.turn.append(None)


_ALIVE: dict[int, Prequest] = {}


def _free_all() -> None:
    """Persistent requests must be gone before MPI is finalized."""
    for request in list(_ALIVE.values()):
        if request._replay.done:
            request.Free()
