"""The verdict for Classroom 50: result.json, of the form classroom50/result/v1.

https://github.com/foundation50/classroom50/wiki/Advanced-Autograding says what it holds. Whose
it is stands in the environment, where the runner of Classroom 50 puts it.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

from collectives.errors import ArgumentError
from collectives.labs.verdict import NOT_RUN, PASSED, Graded, Rung, Verdict
from collectives.labs.writers.plain import as_json

ABOUT = "Classroom 50's result.json"

# The field of the result, and the variable of the environment.
GIVEN = {
    "classroom": "CLASSROOM",
    "assignment": "ASSIGNMENT",
    "assignment_type": "ASSIGNMENT_TYPE",
    "owner": "OWNER",
    "submission": "SUBMISSION_TAG",
    "commit": "COMMIT_URL",
    "release": "RELEASE_URL",
}


def text(verdict: Verdict, leaderboard: bool = False) -> str:
    """The JSON text. It has no place for a leaderboard.

    Raises
    ------
    ArgumentError
        A variable of the environment is missing, or points are not whole.
    """
    missing = [name for name in GIVEN.values() if not os.environ.get(name)]
    if missing:
        raise ArgumentError(
            f"labs: the environment of Classroom 50 is needed, got no {', '.join(missing)}; "
            "run it as the assignment's autograder.py"
        )
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    tests = [
        _test(task, rung)
        for task in verdict.tasks
        for rung in task.rungs
        if rung.outcome != NOT_RUN
    ]
    values: dict[str, Any] = {"schema": "classroom50/result/v1"}
    values |= {field: os.environ[name] for field, name in GIVEN.items()}
    values |= {
        "review": os.environ.get("REVIEW_URL") or os.environ["COMMIT_URL"],
        "datetime": now,  # the runner puts the time of the commit in its place
        "graded_at": now,
        "score": sum(test["score"] for test in tests),
        "max-score": sum(test["max-score"] for test in tests),
        "tests": tests,
    }
    return as_json(values)


def _test(task: Graded, rung: Rung) -> dict[str, Any]:
    name = f"{task.name}: {rung.name}"
    return {
        "test-name": name,
        "passed": rung.outcome == PASSED,
        "score": _whole(rung.points, name),
        "max-score": _whole(rung.of, name),
        "output": rung.words,
    }


def _whole(points: float, name: str) -> int:
    if points != int(points):
        raise ArgumentError(
            f"labs: whole points are needed for Classroom 50, got {points:g} for {name}; "
            "multiply all points of lab.toml"
        )
    return int(points)
