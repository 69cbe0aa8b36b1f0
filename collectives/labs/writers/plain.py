"""The verdict as JSON of our own: `verdict.schema.json` describes it."""

from __future__ import annotations

import json

from collectives import files
from collectives.labs.verdict import Verdict


def text(verdict: Verdict) -> str:
    """The JSON text."""
    return json.dumps(verdict.plain(), indent=1, ensure_ascii=False) + "\n"


def write(verdict: Verdict, path: str) -> None:
    """Write it to a file, or to stdout if that is `-`."""
    if path == "-":
        print(text(verdict), end="")
    else:
        files.write(path, text(verdict), "--json")
