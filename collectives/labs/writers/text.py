"""The verdict for people: one line a rung, and four parts for the first that failed."""

from __future__ import annotations

from collections.abc import Iterator

from collectives.console import console
from collectives.labs.verdict import RUNGS, Graded, Verdict
from collectives.labs.writers.clean import cleaned


def show(verdict: Verdict, hints: int = 1) -> None:
    """Print it."""
    out = console()
    for line in lines(verdict, hints):
        out.print(line, markup=False, soft_wrap=True)


def lines(verdict: Verdict, hints: int = 1) -> Iterator[str]:
    """The lines of it.

    Parameters
    ----------
    verdict : Verdict
    hints : int
        How many a rung that failed has.
    """
    verdict = cleaned(verdict)
    name = f"Lab {verdict.lab}" if verdict.lab.isdigit() else verdict.lab
    yield f"{name}: {verdict.title}"
    for task in verdict.tasks:
        yield ""
        yield f"{task.name}: {task.points:g} of {task.of:g}"
        yield from _rungs(task, hints)
    yield ""
    total = f"{verdict.points:g} of {verdict.of:g} points, in {verdict.seconds:.1f} s"
    if verdict.refused:
        total += f"; not allowed: it {verdict.refused}"
    yield total
    if printed := verdict.printed.strip():
        first = printed.splitlines()[0][:80]
        yield f"what it printed is not read by the grader: {first!r}"
    for lack in verdict.lacks:
        yield f"not limited: {lack}"


def _rungs(task: Graded, hints: int) -> Iterator[str]:
    for rung in task.rungs:
        number = f"{RUNGS.index(rung.name) + 1} " if rung.name in RUNGS else ""
        points = f"{rung.points:g}/{rung.of:g}"
        said = "" if rung.feedback else rung.said
        yield f"  {number}{rung.name:<9} {rung.outcome:<11} {points:>6}  {said}".rstrip()
        if rung.feedback is not None:
            yield from (f"      {line}" for line in rung.feedback.lines(hints))
