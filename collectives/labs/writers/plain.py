"""The verdict as JSON of our own: `verdict.schema.json` describes it."""

from __future__ import annotations

import json
from typing import Any

from collectives.labs.verdict import Verdict

ABOUT = "our own JSON, versioned: all that is known"


def text(verdict: Verdict, leaderboard: bool = False) -> str:
    """The JSON text. It has the simulated seconds in any case."""
    return as_json(verdict.plain())


def as_json(values: Any) -> str:
    """Plain data as JSON text; its last line ends."""
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"
