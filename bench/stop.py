"""What a program of the bench does when it is stopped: it leaves what it has.

A signal reaches all ranks, as launchers forward it, or just some. The handler itself
only takes a note, so that no call is left half done. A thread does the rest at once,
because a launcher may kill the ranks a second later: on rank 0 it shows what there is
and ends the job. Python wakes it up even while the main thread is within MPI.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable

from mpi4py import MPI

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 5.0  # seconds that rank 0, or what is being printed, has to come to an end


class Stop:
    """Handlers for the signals that stop a run, on one rank.

    Parameters
    ----------
    comm : MPI.Intracomm

    Attributes
    ----------
    by : int
        The signal that came, or 0.
    leave : callable
        `leave(why)` shows what there is, on rank 0; `why` reads as in "stopped by SIGINT".
    """

    def __init__(self, comm: MPI.Intracomm):
        self.comm = comm
        self.by = 0
        self.leave: Callable[[str], object] = say
        self._ending = threading.Lock()
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._writer)
        threading.Thread(target=self._watch, args=(reader,), daemon=True).start()

    def ask(self, number: int) -> None:
        """Stop as if this signal had come; 0 stands for none."""
        if number and not self.by:
            os.write(self._writer, bytes([number]))

    def end(self) -> None:
        """Say that the main thread shows its results now: whoever stops it waits for that."""
        self._ending.acquire()

    def now(self, why: str, status: int) -> None:
        """Leave what there is, and end all ranks."""
        try:
            if self.comm.rank == 0 and self._ending.acquire(timeout=GRACE):
                self.leave(why)
                sys.stdout.flush()
        finally:
            abort(self.comm, status)

    def _watch(self, reader: int) -> None:
        while self.by not in SIGNALS:
            self.by = os.read(reader, 1)[0]
        if self.comm.rank > 0:
            select.select([reader], [], [], GRACE)  # until it comes again
        self.now(f"by {signal.Signals(self.by).name}", 128 + self.by)


def say(why: str) -> None:
    """What is left to be said where all there is has been printed."""
    print(f"collectives.bench: stopped {why}", file=sys.stderr, flush=True)


def abort(comm: MPI.Intracomm, status: int) -> None:
    """End all ranks."""
    comm.Abort(status)
    os._exit(status)  # Abort may return before the job ends
