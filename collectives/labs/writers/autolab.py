"""The verdict for Autolab: text, and a line of JSON that must be the last.

https://docs.autolabproject.com/lab/ says what it holds. The problems of the assessment there must
be called like the tasks.
"""

from __future__ import annotations

import json
from typing import Any

from collectives.labs.verdict import Verdict
from collectives.labs.writers.text import lines

ABOUT = "Autolab: text, then scores as the last line"


def text(verdict: Verdict, leaderboard: bool = False) -> str:
    """The text. The scoreboard has the points, and the seconds of each task that is right."""
    values: dict[str, Any] = {"scores": {task.name: task.points for task in verdict.tasks}}
    if leaderboard:
        values["scoreboard"] = [verdict.points, *verdict.predicted.values()]
    return "\n".join([*lines(verdict), json.dumps(values)]) + "\n"
