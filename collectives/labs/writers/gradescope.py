"""The verdict for Gradescope: results.json.

https://gradescope-autograders.readthedocs.io/en/latest/specs/ says what it holds.
"""

from __future__ import annotations

from typing import Any

from collectives.labs.verdict import FAILED, NOT_RUN, PASSED, Graded, Rung, Verdict
from collectives.labs.writers.plain import as_json

ABOUT = "Gradescope's results.json"


def text(verdict: Verdict, leaderboard: bool = False) -> str:
    """The JSON text: one test a rung, all visible, for there is nothing to hide."""
    values: dict[str, Any] = {
        "execution_time": round(verdict.seconds),
        "output": _whole(verdict),
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"lab": verdict.lab, "fingerprint": verdict.fingerprint},
        "tests": [
            _test(task, rung, f"{first}.{second}")
            for first, task in enumerate(verdict.tasks, 1)
            for second, rung in enumerate(task.rungs, 1)
        ],
    }
    if not values["tests"]:
        values["score"] = 0
    if leaderboard:
        values["leaderboard"] = [
            {"name": f"{name} (us)", "value": round(seconds * 1e6, 3), "order": "asc"}
            for name, seconds in verdict.predicted.items()
        ]
    return as_json(values)


def _test(task: Graded, rung: Rung, number: str) -> dict[str, Any]:
    test = {
        "name": f"{task.name}: {rung.name}",
        "number": number,
        "score": rung.points,
        "max_score": 0 if rung.outcome == NOT_RUN else rung.of,
        "output": rung.words or rung.outcome,
        "tags": [task.name, rung.name],
    }
    # Without a status Gradescope paints by points, and what was not reached is not wrong.
    if rung.outcome in (PASSED, FAILED):
        test["status"] = rung.outcome
    return test


def _whole(verdict: Verdict) -> str:
    lines = [f"{verdict.title}: {verdict.points:g} of {verdict.of:g} points"]
    if verdict.refused:
        lines.append(f"Not allowed: it {verdict.refused}")
    lines += [f"Not limited: {lack}" for lack in verdict.lacks]
    return "\n".join(lines)
