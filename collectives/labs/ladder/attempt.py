"""What the rungs climb with: one task, and what was handed over for it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collectives.engines.simulator import Simulator
from collectives.errors import Timeout
from collectives.labs.feedback import Feedback
from collectives.labs.handover import Case, Handed
from collectives.labs.lab import Task
from collectives.labs.replay import played
from collectives.machine import Clock, Machine


@dataclass
class Attempt:
    """One task of one submission.

    Attributes
    ----------
    task : Task
    handed : Handed
    file : str
        The student's, as errors name it.
    text : str
        Of it.
    values : mapping
        What the student's functions returned, by their names.
    rendezvous : bool
        Sends wait for their recv in the rungs from 3 on; not if that would be a deadlock.
    seconds : float or None
        The simulated time, once it is known.
    deadline : float
        On time.process_time, so that others on the machine do not count: until then its rungs
        must be climbed.
    """

    task: Task
    handed: Handed
    file: str
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    rendezvous: bool = True
    seconds: float | None = None
    deadline: float = math.inf

    def check_time(self) -> None:
        """Raise Timeout when the time for this task is over."""
        if time.process_time() > self.deadline:
            raise Timeout(f"{self.handed.name}: all runs of a task must end in time, got no end")

    def simulator(
        self, case: Case, clock: Clock | None = None, rendezvous: bool | None = None
    ) -> Simulator:
        """A simulator for one case, without data."""
        self.check_time()
        problem, algorithm = case.problem, played(self.handed, case, self.file)
        buffers = [problem.phantoms(rank) for rank in range(problem.p)]

        def program(rank: int) -> Any:
            return problem.start(algorithm, rank, buffers[rank], {})

        waits = self.rendezvous if rendezvous is None else rendezvous
        machine = Machine(clock or Clock())
        return Simulator(
            str(algorithm), problem.p, program, problem.operator, machine, waits, phantom=True
        )


@dataclass(frozen=True)
class Step:
    """How it went on one rung.

    Attributes
    ----------
    passed : bool
    said : str
        One sentence.
    feedback : Feedback or None
        If it failed.
    goes_on : bool
        The next rungs can be tried all the same.
    """

    passed: bool
    said: str = ""
    feedback: Feedback | None = None
    goes_on: bool = True


def failed(feedback: Feedback, goes_on: bool = False) -> Step:
    """A rung that failed; what happened is the sentence."""
    return Step(False, feedback.what, feedback, goes_on)
