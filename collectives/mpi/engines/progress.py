"""Progress: who advances the operations in flight.

Whoever tests or waits for one operation advances all of them. In between, a
thread does, because MPI promises that an operation comes to its end whatever its
rank waits for: a plain receive, a blocking collective, or `MPI.Request.Waitall`
on a list of all kinds of requests, none of which know of us. The thread sleeps
while there is nothing in flight or somebody else is advancing.

The thread needs MPI.THREAD_MULTIPLE, which mpi4py asks for by default. Without it
nothing is started: a program that is right could wait for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from threading import Event, Lock, Thread
from time import perf_counter, sleep

from mpi4py import MPI

from collectives.errors import RestrictionError
from collectives.mpi.data.lifetime import before_finalize
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.shield import SHIELD

QUIET = 1e-3  # seconds without a poll after which the thread takes an operation over
SHORTEST, LONGEST = 50e-6, 1e-3  # its sleep after progress, and then without
CALM = 10e-3  # its longest sleep in a program that has never needed it
LINGER = 0.1  # seconds without work before it waits to be woken, which costs the waker more
PATIENCE = 50  # polls without progress before a waiting rank offers its core


@cache
def check_threads() -> None:
    """Raise RestrictionError unless MPI lets threads call it at any time."""
    level = MPI.Query_thread()
    if level < MPI.THREAD_MULTIPLE:
        names = {MPI.THREAD_SINGLE: "SINGLE", MPI.THREAD_FUNNELED: "FUNNELED"}
        raise RestrictionError(
            "nonblocking and persistent collectives: need MPI.THREAD_MULTIPLE, "
            f"got MPI.THREAD_{names.get(level, 'SERIALIZED')}; leave mpi4py.rc.thread_level "
            "as it is, or use the blocking forms"
        )


class Progress:
    """The operations in flight of this process, and who else is to be looked at.

    Attributes
    ----------
    operations : dict
        Those in flight, oldest first.
    watched : dict
        Calls that the thread makes from time to time while there are any.
    awake : bool
        Whether the thread looks for work; else `wake` is to be called.
    polled : bool
        Whether somebody else than the thread has advanced operations since it last looked.
    limits : set
        Who limits the time of some operations: waiting for these is to be left to them.
    """

    def __init__(self) -> None:
        self.operations: dict[Operation, None] = {}
        self.watched: dict[int, Callable[[], bool]] = {}
        self.limits: set[int] = set()
        self.polled = False
        self._lock = Lock()
        self._work = Event()
        self.awake = False
        self._needed = False  # whether the thread has ever found something to do
        self._stop = False
        self._thread: Thread | None = None

    def add(self, operation: Operation) -> None:
        """Take care of an operation."""
        self.operations[operation] = None
        if not self.awake:
            self.wake()

    def remove(self, operation: Operation) -> None:
        """An operation has ended."""
        self.operations.pop(operation, None)

    def watch(self, key: int, look: Callable[[], bool]) -> None:
        """Call `look` from time to time, until `unwatch(key)`; it tells if it had to do much."""
        with self._lock:
            self.watched[key] = look
        self.wake()

    def unwatch(self, key: int) -> None:
        with self._lock:
            self.watched.pop(key, None)

    def poll(self) -> bool:
        """Advance all operations; return whether there was any progress."""
        self.polled = True
        return self._poll()

    def advance(self, operation: Operation) -> bool:
        """Advance all operations, and this one even if it is not among them."""
        progress = self.poll()
        return progress if operation in self.operations else operation.advance() or progress

    def wait(self, operation: Operation) -> None:
        """Advance all operations until this one has ended."""
        while not operation.done:
            if len(self.operations) == (operation in self.operations):
                self.polled = True
                operation.finish()
            else:
                with SHIELD:
                    self._share(operation)

    def _share(self, operation: Operation) -> None:
        """Advance all operations until this one has ended, or no other is left."""
        idle = 0
        while not operation.done and len(self.operations) > (operation in self.operations):
            if self.advance(operation):
                idle = 0
            elif (idle := idle + 1) > PATIENCE:
                offer_core()

    def _poll(self) -> bool:
        # Other threads add and remove; the copy is made in one go.
        progress = [operation.advance() for operation in list(self.operations)]
        return any(progress)

    def wake(self) -> None:
        """Let the thread look for work, from now on."""
        if self._thread is None:
            self._begin()
        self.awake = True
        self._work.set()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="collectives-progress", daemon=True)
                before_finalize(self._end)
                self._thread.start()

    def _run(self) -> None:
        pause, last = QUIET, perf_counter()
        while not self._stop:
            if self.operations or self.watched:
                last = perf_counter()
            elif perf_counter() - last > LINGER:
                self._work.clear()
                self.awake = False
                if not self.operations and not self.watched:
                    self._work.wait()
                pause, last = QUIET, perf_counter()
            sleep(pause)
            pause = self._turn(pause)

    def _turn(self, pause: float) -> float:
        """What the thread does each time it wakes; return how long to sleep then.

        It calls what is watched, which nobody else does, and leaves it to those who poll to
        advance the operations. While it waits for the interpreter, each call of MPI takes
        longer. So where an operation is never left alone, it wakes ever less often.
        """
        with self._lock:
            looks = list(self.watched.values())
        found = [look() for look in looks]
        polled, self.polled = self.polled, False
        progress = not polled and self._poll()
        self._needed = self._needed or progress or any(found)
        if progress:
            return SHORTEST
        if any([operation.turn for operation in list(self.operations)]):
            return QUIET if polled else min(2 * pause, LONGEST)
        return QUIET if self._needed else min(max(2 * pause, QUIET), CALM)

    def _end(self) -> None:
        self._stop = True
        self._work.set()
        if self._thread is not None:
            self._thread.join()


def offer_core() -> None:
    """Let another process have this core."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        sleep(0)


PROGRESS = Progress()
OPERATIONS = PROGRESS.operations  # quicker to get at where that is felt
