"""The JSON file: one document with every repetition."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from collectives import files

from .cells import DTYPE
from .results import Result
from .schedule import MINIMUM

if TYPE_CHECKING:
    from .system import System

SCHEMA = 1

# What a time is, with one clock for all ranks and without.
TIME = {True: "from the first rank's start to the last one's end", False: "maximum over ranks"}


def document(
    run: dict[str, Any], system: System, results: Sequence[Result], status: int
) -> dict[str, Any]:
    """All there is to know about a run, in types that JSON has."""
    states = [result.status for result in results]
    return {
        "schema": SCHEMA,
        "tool": {"name": "collectives.bench", "version": system.collectives},
        "run": {**run, "sync": "barrier", "time": TIME[system.one_clock]},
        "system": {**asdict(system), "oversubscribed": system.oversubscribed},
        "results": [row(result, len(system.hosts)) for result in results],
        "summary": {
            "cells": len(results),
            "wrong": states.count("wrong"),
            "not_applicable": states.count("n/a"),
            "not_run": states.count("not run"),
            "too_few": sum(result.too_few for result in results),
            "minimum_reps": MINIMUM,
            "exit": status,
        },
    }


def row(result: Result, ranks: int) -> dict[str, Any]:
    """One cell: what was measured, then what came of it."""
    cell, summary, wrong = result.cell, result.summary, result.wrong
    counts = result.outlook.counts
    return {
        "primitive": cell.primitive,
        "algorithm": cell.algorithm,
        "ranks": ranks,
        "size_bytes": cell.size,
        "count": cell.size // DTYPE.itemsize,
        "dtype": str(DTYPE),
        "reps": summary.reps if summary else 0,
        "min_us": _value(summary, "minimum"),
        "median_us": _value(summary, "median"),
        "median_low_us": _value(summary, "low"),
        "median_high_us": _value(summary, "high"),
        "p95_us": _value(summary, "p95"),
        "max_us": _value(summary, "maximum"),
        "mark": result.mark,
        "critical_path": counts and counts.critical_path,
        "messages": counts and counts.messages,
        "bytes_sent_max": counts and counts.bytes_sent_max,
        "bytes_sent": counts and counts.bytes_sent,
        "reductions_max": counts and counts.reductions_max,
        "status": result.status,
        "reason": result.outlook.not_applicable or result.outlook.late,
        "wrong": wrong and asdict(wrong),
        "relative_error": result.error,
        "samples_us": [round(sample, 3) for sample in result.samples.tolist()],
    }


def _value(summary: object, name: str) -> float | None:
    value = getattr(summary, name, None)
    return None if value is None or abs(value) == float("inf") else round(value, 3)


def write(path: str, content: dict[str, Any]) -> None:
    """Write the document, or leave the file as it was."""
    files.write(path, json.dumps(content, indent=1, allow_nan=False) + "\n", "--json")
