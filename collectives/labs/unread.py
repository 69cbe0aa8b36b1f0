"""The verdict where there is nothing that could be graded: no points, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from collectives.labs import zero, zoo
from collectives.labs.feedback import Feedback
from collectives.labs.lab import Lab
from collectives.labs.ladder import mpirun
from collectives.labs.verdict import FAILED, NOT_REACHED, NOT_RUN, RUNGS, Graded, Rung, Verdict


def unread(lab: Lab, why: str, mpi: bool = True) -> Verdict:
    """The verdict; its first rung says why.

    Parameters
    ----------
    lab : Lab
    why : str
        The message of the error.
    mpi : bool
        Others climb rung 6, so that it counts.
    """
    first, *others = zoo.grade(lab, "").tasks if lab.kind == "zoo" else _tasks(lab)
    said = Feedback(why.removeprefix("labs: "), "", "one file, as `start` hands it out")
    rung = replace(first.rungs[0], outcome=FAILED, said=said.what, feedback=said)
    tasks = (Graded(first.name, (rung, *first.rungs[1:])), *others)
    if not mpi or mpirun.launcher() is None:
        tasks = tuple(Graded(task.name, tuple(map(_without, task.rungs))) for task in tasks)
    return Verdict(lab.key, lab.title["en"], tasks)


def _tasks(lab: Lab) -> Iterator[Graded]:
    """All that a lab grades, not reached."""
    for task in lab.tasks:
        yield _unreached(task.function, dict(zip(RUNGS, task.points, strict=True)))
    if asked := lab.settings.get("answers"):
        yield _unreached("answers", {answer["name"]: answer["points"] for answer in asked})
    for task in lab.settings.get("training", ()):
        yield _unreached(task["function"], dict(zip(zero.RUNGS, task["points"], strict=True)))


def _unreached(name: str, points: dict[str, float]) -> Graded:
    return Graded(name, tuple(Rung(rung, NOT_REACHED, 0, of) for rung, of in points.items() if of))


def _without(rung: Rung) -> Rung:
    return replace(rung, outcome=NOT_RUN) if rung.name == "mpirun" else rung
