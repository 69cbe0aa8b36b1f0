"""The verdict in the Test Anything Protocol, version 14.

https://testanything.org/tap-version-14-specification.html says what it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from collectives.labs.verdict import FAILED, PASSED, Graded, Rung, Verdict

ABOUT = "TAP 14, the Test Anything Protocol"


def text(verdict: Verdict, leaderboard: bool = False) -> str:
    """The text: a test point a rung, its feedback in YAML. It has no place for a leaderboard."""
    points = [(task, rung) for task in verdict.tasks for rung in task.rungs]
    head = ["TAP version 14", f"1..{len(points)}"]
    body = [line for number, each in enumerate(points, 1) for line in _point(number, *each)]
    return "\n".join([*head, *body]) + "\n"


def _point(number: int, task: Graded, rung: Rung) -> Iterator[str]:
    word = "not ok" if rung.outcome == FAILED else "ok"
    skip = "" if rung.outcome in (PASSED, FAILED) else f" # SKIP {rung.outcome}"
    yield f"{word} {number} - {_escaped(f'{task.name}: {rung.name}')}{skip}"
    values: dict[str, float | str] = {"points": rung.points, "of": rung.of}
    if rung.feedback is not None:
        said = rung.feedback
        values |= {"message": said.what, "at": said.where, "expected": said.expected}
        values |= {"hint": said.hint}
    elif rung.said:
        values["message"] = rung.said
    yield "  ---"
    for name, value in values.items():  # JSON is YAML, too
        yield f"  {name}: {json.dumps(value, ensure_ascii=False)}"
    yield "  ..."


def _escaped(description: str) -> str:
    return description.replace("\\", "\\\\").replace("#", "\\#")
