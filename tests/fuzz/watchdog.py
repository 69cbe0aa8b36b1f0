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
        self.began, self.deadline = 0.0, float("inf")
        Thread(target=self._run, daemon=True).start()

    def enter(self, what: str, command: str, limits: int = 1) -> None:
        """This begins now and may take some times the limit; `command` repeats it."""
        self.what, self.command = what, command
        self.began = time.monotonic()
        self.deadline = self.began + limits * self.limit

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
            f"  rank {rank} has spent {time.monotonic() - self.began:.1f} s in {self.what} "
            f"{_innermost()}",
            flush=True,
        )
        time.sleep(1)  # let the other ranks say the same
        MPI.COMM_WORLD.Abort(1)
        os._exit(1)


def _innermost() -> str:
    """Where the main thread is."""
    main = sys._current_frames()[main_thread().ident]
    return f"({os.path.basename(main.f_code.co_filename)}:{main.f_lineno})"
