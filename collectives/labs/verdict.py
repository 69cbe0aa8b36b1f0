"""The verdict on a submission, as plain data: `verdict.schema.json` describes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from collectives.labs.feedback import Feedback

FORMAT, VERSION = "collectives.labs.verdict", 1

PASSED, FAILED, NOT_REACHED, NOT_RUN = "passed", "failed", "not reached", "not run"

RUNGS = ("contract", "progress", "result", "path", "time", "mpirun")


@dataclass(frozen=True)
class Rung:
    """One rung of one task.

    Attributes
    ----------
    name : str
    outcome : str
        `passed`, `failed`, `not reached`, or `not run`: there is no mpirun, so the rung counts
        for nobody.
    points, of : float
    said : str
        One sentence.
    feedback : Feedback or None
        If it failed.
    """

    name: str
    outcome: str
    points: float
    of: float
    said: str = ""
    feedback: Feedback | None = None

    @property
    def words(self) -> str:
        """All that is said, in lines."""
        return "\n".join(self.feedback.lines()) if self.feedback else self.said


@dataclass(frozen=True)
class Graded:
    """One task."""

    name: str
    rungs: tuple[Rung, ...]

    @property
    def points(self) -> float:
        return sum(rung.points for rung in self.rungs)

    @property
    def of(self) -> float:
        """The most that there is to be had."""
        return sum(rung.of for rung in self.rungs if rung.outcome != NOT_RUN)

    @property
    def failed(self) -> Rung | None:
        """The first rung that failed."""
        return next((rung for rung in self.rungs if rung.outcome == FAILED), None)


@dataclass(frozen=True)
class Verdict:
    """All that is said about a submission.

    Attributes
    ----------
    lab, title : str
    tasks : tuple of Graded
    refused : str
        What it tried that a lab does not allow; empty if nothing.
    lacks : tuple of str
        What its process was not kept from, in words.
    printed : str
        The beginning of what it printed.
    seconds : float
        That grading took.
    predicted : mapping of str to float
        The simulated seconds of each task that is right, for a leaderboard.
    fingerprint : str
        The same for two files whose code is the same.
    """

    lab: str
    title: str
    tasks: tuple[Graded, ...]
    refused: str = ""
    lacks: tuple[str, ...] = ()
    printed: str = ""
    seconds: float = 0.0
    predicted: Mapping[str, float] = field(default_factory=dict)
    fingerprint: str = ""

    @property
    def points(self) -> float:
        return sum(task.points for task in self.tasks)

    @property
    def of(self) -> float:
        """The most that there is to be had."""
        return sum(task.of for task in self.tasks)

    @property
    def right(self) -> bool:
        """Everything that was graded is right."""
        return all(task.points == task.of for task in self.tasks)

    def failures(self) -> Iterator[tuple[str, Rung]]:
        """Each rung that failed, and the name of its task."""
        every = ((task.name, rung) for task in self.tasks for rung in task.rungs)
        return ((name, rung) for name, rung in every if rung.outcome == FAILED)

    def plain(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        values = asdict(self)
        for task, graded in zip(values["tasks"], self.tasks, strict=True):
            task |= {"points": graded.points, "of": graded.of}
        return {
            "format": FORMAT,
            "version": VERSION,
            "points": self.points,
            "of": self.of,
            **values,
            "tasks": list(values["tasks"]),
            "lacks": list(self.lacks),
            "predicted": dict(self.predicted),
        }
