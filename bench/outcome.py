"""What is known of a run, so that it can be shown at any time."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TextIO

from collectives.errors import ArgumentError
from collectives.machine.model import Machine

from . import output, report
from .cells import Cell
from .check import Wrong
from .cli import Options
from .preflight import Outlook, explained
from .results import results
from .schedule import Schedule
from .system import System
from .terminal import past_launcher


@dataclass
class Outcome:
    """What is known of a run, which goes on meanwhile.

    Attributes
    ----------
    todo : sequence of Cell
    where : System
    machine : Machine
        The nodes of the ranks.
    asked : Options
    arguments : list of str
        The command line.
    start : float
        When the run began, on time.perf_counter.
    ahead : sequence of Outlook
        One for each cell; none before all have been simulated.
    wrong, errors : mapping
        By cell, what is wrong with it, and the relative error of a lossy one.
    schedule : Schedule or None
        It has the repetitions; None before the first.
    date : datetime
    past : TextIO or None
        Where to print if the launcher has been stopped as well.
    """

    todo: Sequence[Cell]
    where: System
    machine: Machine
    asked: Options
    arguments: list[str]
    start: float
    ahead: Sequence[Outlook] = ()
    wrong: Mapping[int, Wrong] = field(default_factory=dict)
    errors: Mapping[int, float] = field(default_factory=dict)
    schedule: Schedule | None = None
    date: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    past: TextIO | None = field(default_factory=past_launcher)

    def explain(self) -> None:
        """Say of wrong answers, where it can be said, how they came about."""
        self.ahead = [
            replace(one, wrong=explained(cell, len(self.where.hosts), self.machine))
            if i in self.wrong and not one.wrong and self.wrong[i].index is not None
            else one
            for i, (cell, one) in enumerate(zip(self.todo, self.ahead))
        ]

    def leave(self, stopped: str = "") -> int:
        """Print and write all there is; returns the exit status of a run that has ended.

        Parameters
        ----------
        stopped : str
            Why it was stopped, if it was, such as "by SIGINT".
        """
        taken = self.schedule.taken() if self.schedule else {}
        ahead = self.ahead or [Outlook()] * len(self.todo)
        found = results(self.todo, ahead, taken, self.wrong, self.errors)
        status = 1 if any(result.wrong for result in found) else 0
        elapsed = time.perf_counter() - self.start
        written = self._write(found, status, stopped)  # first: it is there whoever reads the rest
        out = report.console(self.past if stopped else None)
        report.show(found, self.where, elapsed, out, stopped)
        return status if written else 1

    def _write(self, found: Sequence, status: int, stopped: str) -> bool:
        """Write the JSON file, if one is wanted; says why if that cannot be done."""
        if self.asked.json is None:
            return True
        told = {
            "argv": self.arguments,
            "seed": self.asked.seed,
            "budget_s": self.asked.budget,
            "start": self.date.isoformat(),
            "end": datetime.now(timezone.utc).isoformat(),
            "stopped": stopped or None,
        }
        try:
            output.write(self.asked.json, output.document(told, self.where, found, status))
        except ArgumentError as error:
            print(f"collectives.bench: {error}", file=sys.stderr, flush=True)
            return False
        return True
