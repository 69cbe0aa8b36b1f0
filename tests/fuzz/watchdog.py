"""Ends a run that hangs, and says where every rank stands."""

import os
import sys
import time
from threading import Thread, main_thread

from mpi4py import MPI


class Watchdog:
    """A thread that ends the run unless it is told in time that there is progress.

    Parameters
    ----------
    limit : float
        Seconds.
    """

    def __init__(self, limit: float):
        self.limit = limit
        self.what = self.command = ""
        self.deadline = float("inf")
        Thread(target=self._run, daemon=True).start()

    def enter(self, what: str, command: str) -> None:
        """This begins now; `command` repeats it."""
        self.what, self.command = what, command
        self.deadline = time.monotonic() + self.limit

    def note(self, problem: str) -> None:
        """What has gone wrong on this rank."""
        self.what += f", after {problem}"

    def rest(self) -> None:
        """Nothing is going on."""
        self.deadline = float("inf")

    def _run(self) -> None:
        while time.monotonic() < self.deadline:
            time.sleep(0.2)
        rank = MPI.COMM_WORLD.rank
        print(
            f"FAILED: {self.command}\n"
            f"  rank {rank} has waited for {self.limit:g} s in {self.what} {_innermost()}",
            flush=True,
        )
        time.sleep(1)  # let the other ranks say the same
        MPI.COMM_WORLD.Abort(1)
        os._exit(1)


def _innermost() -> str:
    """Where the main thread is."""
    main = sys._current_frames()[main_thread().ident]
    return f"({os.path.basename(main.f_code.co_filename)}:{main.f_lineno})"
