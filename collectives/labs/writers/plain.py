"""The verdict as JSON of our own: `verdict.schema.json` describes it."""

from __future__ import annotations

import json

from collectives.labs.verdict import Verdict

ABOUT = "our own JSON, versioned: all that is known"


def text(verdict: Verdict, leaderboard: bool = False) -> str:
    """The JSON text. It has the simulated seconds in any case."""
    return json.dumps(verdict.plain(), indent=1, ensure_ascii=False) + "\n"
