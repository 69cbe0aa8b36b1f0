"""End algorithms that do not end by themselves, and simulated runs that take too long.

An algorithm can be endless in two ways. It yields for ever: `check_ends` counts its rounds.
Or it never yields again: a thread looks now and then at where the algorithm stands, and
raises an exception in it when that has been the same resume for too long.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType, TracebackType

from collectives.engines.driver import Process, locate
from collectives.errors import Endless

# Rounds of a rank beyond those that a few per rank make up. Most algorithms have far fewer.
MANY, MOST = 500, 500_000

LOOP = "look for a loop that goes on for ever"

# Seconds from one yield to the next, which take microseconds; and seconds in which nothing
# else was computed, where someone waits for the answer of `check`.
RESUME, SOON = 10.0, 2.0

TICK = 0.25

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_impatient: ContextVar[bool] = ContextVar("impatient", default=False)


def many(p: int) -> int:
    """Rounds of a rank that are worth a look whether there is an end to them."""
    return MANY + 2 * p


def check_ends(process: Process) -> None:
    """Run an algorithm to its end without doing what it says; raise Endless if it has none.

    Parameters
    ----------
    process : Process
        A new one, which is of no use afterwards.
    """
    most = MOST + 4 * process.p
    while process.advance() is not None:
        if process.rounds > most:
            raise Endless(
                f"{process.title}: rank {process.rank} of {process.p}: must end within {most} "
                f"rounds, got no end ({process.scene()}); {LOOP}",
                hint=LOOP,
            )


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Let the simulated runs of this thread end at `deadline`, on time.monotonic."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def impatient() -> Iterator[None]:
    """Let an algorithm in this thread compute for SOON seconds at most without a yield."""
    token = _impatient.set(True)
    try:
        yield
    finally:
        _impatient.reset(token)


class Guard:
    """Looks after the algorithms that this thread resumes, in a `with` statement.

    Raises
    ------
    Endless
        One did not come to its next yield, or to its end.

    Attributes
    ----------
    late : bool
        Whether the time of `until` is over.
    """

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.deadline = _deadline.get()
        self.late = False
        self.most = SOON if _impatient.get() else RESUME
        self.clock = _clock(self.thread)
        self.seen: tuple[int, int] | None = None
        self.ticks, self.since = 0, 0.0

    def __enter__(self) -> Guard:
        _watcher.add(self)
        return self

    def __exit__(self, kind: type | None, error: object, trace: TracebackType | None) -> None:
        _watcher.guards.discard(self)
        if kind is _Endless:
            raise Endless(_described(trace), hint=LOOP) from None

    def look(self) -> None:
        """See whether an algorithm still stands where it stood before; the watcher calls it."""
        self.late = self.deadline is not None and time.monotonic() > self.deadline
        process = _resumed(sys._current_frames().get(self.thread))
        now = (id(process), process.rounds) if process else None
        computed = _computed(self.clock) if now else 0.0
        if not now or now != self.seen:
            self.seen, self.ticks, self.since = now, 0, computed
            return
        self.ticks += 1
        if self.ticks >= (2 if self.late else RESUME / TICK) or computed - self.since > self.most:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self.thread), ctypes.py_object(_Endless)
            )


def _clock(thread: int) -> int | None:
    """The clock of what a thread computes, where threads have one."""
    of = getattr(time, "pthread_getcpuclockid", None)
    return of and of(thread)


def _computed(clock: int | None) -> float:
    """Seconds that a thread has computed."""
    try:
        return 0.0 if clock is None else time.clock_gettime(clock)
    except OSError:  # it has just ended
        return 0.0


class _Endless(BaseException):
    """Raised within an algorithm by another thread."""


class _Watcher:
    """One thread for all guards; it sleeps while there are none."""

    def __init__(self) -> None:
        self.guards: set[Guard] = set()
        self.busy = threading.Event()
        self.thread: threading.Thread | None = None

    def add(self, guard: Guard) -> None:
        self.guards.add(guard)
        if self.thread is None or not self.thread.is_alive():  # a fork has no threads
            self.thread = threading.Thread(target=self._run, name="endless", daemon=True)
            self.thread.start()
        if not self.busy.is_set():
            self.busy.set()

    def _run(self) -> None:
        while self.busy.wait():
            time.sleep(TICK)
            for guard in list(self.guards):
                guard.look()
            self.busy.clear()
            if self.guards:
                self.busy.set()


_watcher = _Watcher()


def _resumed(frame: FrameType | None) -> Process | None:
    """The innermost process that resumes its algorithm above a frame, if one does."""
    while frame is not None and frame.f_code is not Process.resume.__code__:
        frame = frame.f_back
    return None if frame is None else frame.f_locals["self"]


def _described(trace: TracebackType | None) -> str:
    """Which algorithm was endless, and the last line of its file at which it was seen."""
    title, place, home = "", "", None
    while trace is not None:
        code = trace.tb_frame.f_code
        if code is Process.resume.__code__:
            process = trace.tb_frame.f_locals["self"]
            title = f"{process.title}: rank {process.rank} of {process.p}: "
            home = trace.tb_next and trace.tb_next.tb_frame.f_code.co_filename
        elif code.co_filename == home:
            place = f" ({locate((home, trace.tb_lineno))})"
        trace = trace.tb_next
    return (
        f"{title}must come to its next yield or its end, got neither for a long time{place}; {LOOP}"
    )
