"""Time limits: when a collective does not end, find out who is where, and say so on all ranks.

A rank whose call has not ended in time asks all others where they stand. Who
waits in a collective answers from there; for a rank that is elsewhere, the thread
in `collectives.mpi.engines.progress` answers. From the answers the rank makes its
report and sends it round, and every rank raises it: those that wait in a
collective of the communicator at once, the others at their next one.

What was in flight is given up, so the communicator is of no more use for
collectives. A rank that leaves the program says goodbye with the reason.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import sysconfig
from functools import cache
from pathlib import Path
from threading import Lock, get_ident
from time import perf_counter, sleep
from types import FrameType
from typing import Any

import mpi4py
from mpi4py import MPI

from collectives.engines.driver import locate
from collectives.errors import Timeout
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import PATIENCE, PROGRESS, offer_core
from collectives.mpi.engines.shield import SHIELD
from collectives.mpi.guards.report import State, explain

LOOK = 0.01  # seconds between two looks at what others ask
GRACE = 1.0  # seconds that the others have to answer
LAST = 10.0  # seconds that MPI has to end, at least

_ASK, _STATE, _VERDICT = range(3)


class Watch:
    """The time limit of one communicator, on this rank.

    Parameters
    ----------
    lane : Lane
    tag : int
        Of the questions and answers.
    seconds : float
        What a call may take.
    """

    def __init__(self, lane: Lane, tag: int, seconds: float):
        self.lane = lane
        self.tag = tag
        self.seconds = seconds
        self.rank, self.p = lane.rank, lane.p
        self.verdict = ""
        self.states: dict[int, State] = {}
        self.started = 0
        self.last = ""
        self._waiting: tuple[Operation, str, int | None] | None = None
        self._pending: tuple[int, list[tuple[str, int]]] = (0, [])
        self._thread = get_ident()
        self._sent: list[MPI.Request] = []
        self._looked = 0.0
        self._closed = False
        self._lock = Lock()
        PROGRESS.limits.add(id(self))
        if MPI.Query_thread() == MPI.THREAD_MULTIPLE:
            PROGRESS.watch(id(self), self.look)

    def close(self) -> None:
        """No more questions are answered: the communicator may be freed now."""
        PROGRESS.limits.discard(id(self))
        PROGRESS.unwatch(id(self))
        with self._lock:
            self._closed = True

    def begin(self, call: str, number: int) -> None:
        """A call starts.

        Raises
        ------
        Timeout
            An earlier one did not end in time.
        """
        if self.verdict:
            raise Timeout(
                f"{call}: needs a communicator on which no call was given up, got one with "
                f"{self.verdict}"
            )
        self.started, self.last, self._thread = number, call, get_ident()

    def wait(self, operation: Operation, call: str, number: int | None) -> None:
        """Advance an operation to its end; give it up when its time is over."""
        end = perf_counter() + self.seconds
        self._waiting = operation, call, number
        self._thread = get_ident()
        idle = 0
        with SHIELD:
            while not operation.done:
                if PROGRESS.advance(operation):
                    idle = 0
                elif (idle := idle + 1) > PATIENCE:
                    offer_core()
                    self._check(operation, end)
        self._waiting = None

    def look(self) -> bool:
        """Answer what others ask, and take their answers; return whether there may be more."""
        if perf_counter() - self._looked < LOOK or not self._lock.acquire(blocking=False):
            return False
        try:
            if self._closed:
                return False
            tag = self.lane.tags[self.rank] + self.tag
            while (message := self.lane.comm.improbe(MPI.ANY_SOURCE, tag)) is not None:
                name, *content = message.recv()
                if name == self.lane.name:  # others were too late for whoever had the tag before
                    self._take(*content)
            self._sent = [request for request in self._sent if not request.Test()]
            self._looked = perf_counter()
            return True
        finally:
            self._lock.release()

    def leave(self) -> None:
        """Tell the others that this rank leaves the program."""
        error = getattr(sys, "last_value", None)  # what ends the program
        reason = "" if error is None else f" after {type(error).__name__}: {error}"
        how = f"has left the program{reason.splitlines()[0] if reason else ''}"
        state = State(self.rank, self.started, last=self.last, left=how)
        with self._lock:
            self._tell_all((_STATE, self.rank, state))

    def give_up(self, why: str) -> None:
        """Tell the others that calls cannot end any more because of this rank."""
        self.verdict = self.verdict or why
        with self._lock:
            self._tell_all((_VERDICT, self.rank, self.verdict))

    def state(self) -> State:
        """Where this rank stands."""
        at = _place(self._thread)
        waiting = self._waiting
        if waiting is None:
            return State(self.rank, self.started, last=self.last, at=at)
        operation, call, number = waiting
        line, rounds = operation.stage.line, operation.rounds
        seen, pending = self._pending
        return State(
            self.rank,
            self.started,
            call,
            number,
            operation.stage.number,
            tuple(pending) if seen == rounds else (),
            locate(line) if line else "",
            at=at,
        )

    def _check(self, operation: Operation, end: float) -> None:
        now = perf_counter()
        if now - self._looked < LOOK:
            return
        rounds, pending = operation.rounds, operation.pending()
        self._pending = rounds, pending
        self.look()
        if now > end and not self.verdict:
            self._ask()
        if self.verdict:
            operation.abandon(Timeout(self.verdict))
            limit_the_end(self.seconds)

    def _ask(self) -> None:
        """Collect the states of all ranks, and tell all what follows."""
        with self._lock:
            self._tell_all((_ASK, self.rank, None))
        self.states[self.rank] = self.state()
        end = perf_counter() + GRACE
        while len(self.states) < self.p and perf_counter() < end and not self.verdict:
            sleep(LOOK)
            self.look()
        if not self.verdict:
            self.verdict = explain(self.states, self.p, self.seconds)
            with self._lock:
                self._tell_all((_VERDICT, self.rank, self.verdict))

    def _take(self, kind: int, rank: int, content: Any) -> None:
        if kind == _ASK:
            self._send((_STATE, self.rank, self.state()), rank)
        elif kind == _STATE:
            self.states[rank] = content
        else:
            self.verdict = self.verdict or content

    def _tell_all(self, message: tuple) -> None:
        for rank in range(self.p):
            if rank != self.rank:
                self._send(message, rank)

    def _send(self, message: tuple, rank: int) -> None:
        to = self.lane.to(rank, self.tag)
        self._sent.append(self.lane.comm.isend((self.lane.name, *message), *to))


@cache
def limit_the_end(seconds: float) -> None:
    """Do not let MPI wait at its end for messages that never come.

    An alarm ends the process if MPI does not, and with it the job.
    """

    def alarm() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, max(seconds, LAST))

    atexit.register(alarm)


def _place(thread: int) -> str:
    """File and line at which a thread is in the user's program."""
    frame: FrameType | None = sys._current_frames().get(thread)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    mine = frame
    while frame is not None and frame.f_code.co_filename.startswith(_LIBRARIES):
        frame = frame.f_back
    frame = frame or mine
    return locate((frame.f_code.co_filename, frame.f_lineno)) if frame else ""


_HERE = Path(__file__).parents[2]
_OURS = tuple(
    str(folder) + os.sep
    for folder in (_HERE, _HERE.parent / "algorithms", Path(mpi4py.__file__).parent)
)
_LIBRARIES = ("<", *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib")))
