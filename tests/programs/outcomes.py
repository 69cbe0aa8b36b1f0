"""A plugin of pytest: write down at once what became of each test on this rank.

OUTCOMES names the file; the rank is added to it. A test that hangs is begun there and
not ended: it ends the run, and says where it stood.
"""

import faulthandler
import json
import os
from pathlib import Path

from mpi4py import MPI

PATIENCE = 150  # seconds for one test
PATH = Path(f"{os.environ['OUTCOMES']}-{MPI.COMM_WORLD.Get_rank()}.jsonl")
STDERR = os.dup(2)  # pytest takes the other one


def note(test, outcome, why=""):
    with PATH.open("a", encoding="utf-8") as file:
        file.write(json.dumps([test.partition("[Rank ")[0], outcome, why]) + "\n")


def pytest_runtest_logstart(nodeid):
    note(nodeid, "begun")
    faulthandler.dump_traceback_later(PATIENCE, exit=True, file=STDERR)


def pytest_runtest_logfinish():
    faulthandler.cancel_dump_traceback_later()


def pytest_runtest_logreport(report):
    if report.outcome != "passed" or report.when == "call":
        why = str(report.longrepr or "").strip().splitlines()
        note(report.nodeid, report.outcome, why[-1] if why else "")


def pytest_collectreport(report):
    if report.failed:
        note(report.nodeid, "failed", str(report.longrepr).strip().splitlines()[-1])
