"""A plugin of pytest: write down at once what became of each test on this rank.

OUTCOMES names the file; the rank is added to it. A test that hangs is begun there and
not ended.
"""

import json
import os
from pathlib import Path

from mpi4py import MPI

_PATH = Path(f"{os.environ['OUTCOMES']}-{MPI.COMM_WORLD.Get_rank()}.jsonl")


def _note(test, outcome, why=""):
    with _PATH.open("a", encoding="utf-8") as file:
        file.write(json.dumps([test.partition("[Rank ")[0], outcome, why]) + "\n")


def pytest_runtest_logstart(nodeid):
    _note(nodeid, "begun")


def pytest_runtest_logreport(report):
    bad = report.outcome != "passed"
    if bad or report.when == "call":
        why = str(report.longrepr or "").strip().splitlines()
        _note(report.nodeid, report.outcome, why[-1] if why else "")


def pytest_collectreport(report):
    if report.failed:
        _note(report.nodeid, "failed", str(report.longrepr).strip().splitlines()[-1])
