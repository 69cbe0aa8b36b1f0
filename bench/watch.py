"""The progress bar, and the end of a run that is stuck."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .terminal import terminal, width

STALLED = 60.0  # seconds in one call
REFRESH = 0.25


class Watch:
    """Rank 0's view of the run; does nothing on other ranks.

    Parameters
    ----------
    rank : int
    budget : float
        Seconds, the length of the bar.
    start : float
        When the run began, on time.perf_counter.
    stalled : callable
        Called with what has not returned for a minute.
    """

    def __init__(self, rank: int, budget: float, start: float, stalled: Callable[[str], None]):
        self.active = rank == 0
        self.start = start
        self.stalled = stalled
        self.what = ""
        self.since = self.drawn = time.perf_counter()
        self.ended = threading.Event()
        self.bar: Progress | None = None
        if self.active and (screen := terminal(2)):
            self.bar = _bar(Console(file=screen, width=width(screen)))
            self.task = self.bar.add_task("", total=budget, what="")

    def __enter__(self) -> Watch:
        if self.active:
            threading.Thread(target=self._guard, daemon=True).start()
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ended.set()
        if self.bar:
            self.bar.stop()

    def __call__(self, what: str) -> None:
        """Say what begins now."""
        if not self.active:
            return
        self.what, self.since = what, time.perf_counter()
        if self.bar and self.since - self.drawn > REFRESH:
            self.drawn = self.since
            self.bar.update(self.task, completed=self.since - self.start, what=what)
            self.bar.refresh()

    def _guard(self) -> None:
        while not self.ended.wait(1):
            if time.perf_counter() - self.since > STALLED:
                self.stalled(self.what)


def _bar(console: Console) -> Progress:
    # Without auto_refresh no thread draws into what is being timed.
    return Progress(
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
        console=console,
        auto_refresh=False,
        transient=True,
    )
