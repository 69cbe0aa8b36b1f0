"""Rung 6: the recorded rounds run over MPI, in clean ranks, and are held against the built-in.

No rank imports the student's file: what they get is the rounds that were handed over.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from collectives import errors
from collectives.labs.feedback import Feedback
from collectives.labs.ladder.attempt import Attempt, Step, failed

RANKS = 4
LIMIT = 40.0  # seconds

# How ranks are started: `srun -n {ranks}` on a cluster.
LAUNCH = "COLLECTIVES_LAUNCH"

# Open MPI refuses to run as root, and more ranks than cores, unless it is told to.
ALLOW = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
}

# The line of the output that has the answers.
MARK = "collectives.labs.ranks:"


def launcher() -> list[str] | None:
    """The command that starts the ranks; None if there is none."""
    if given := os.environ.get(LAUNCH):
        return shlex.split(given.format(ranks=RANKS))
    beside = Path(sys.executable).with_name("mpirun")
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    return [found, "-n", str(RANKS)] if found else None


def climb(attempts: Sequence[Attempt], seconds: float = LIMIT) -> list[Step] | None:
    """Run all tasks in one mpirun; None if there is none.

    Parameters
    ----------
    attempts : sequence of Attempt
        Those whose answers are right.
    seconds : float
        After which the run is ended.
    """
    command = launcher()
    if command is None:
        return None
    if not attempts:
        return []
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        path = Path(folder) / "rounds.json"
        path.write_text(json.dumps([_plain(attempt) for attempt in attempts]), encoding="utf-8")
        out = _run([*command, sys.executable, "-m", "collectives.labs.ranks", str(path)], seconds)
    answers = [line.partition(MARK)[2] for line in out.splitlines() if MARK in line]
    if not answers:
        return [failed(_silent(out, seconds)) for _ in attempts]
    return [_step(answer) for answer in json.loads(answers[-1])]


def _plain(attempt: Attempt) -> dict:
    handed = attempt.handed
    cases = [case for case in attempt.task.mpi_cases() if case in handed.rounds]
    return {
        "name": handed.name,
        "file": attempt.file,
        "declared": dict(handed.declared),
        "cases": [[case.plain(), [asdict(mine) for mine in handed.rounds[case]]] for case in cases],
    }


def _step(answer: dict) -> Step:
    if answer["wrong"] is None:
        return Step(True, f"{answer['calls']} calls over MPI give what the built-in gives")
    what = f"over MPI: {answer['wrong']}"
    return failed(Feedback(what, answer["case"], "what MPI's built-in gives", "see rung 3"))


def _silent(out: str, seconds: float) -> Feedback:
    last = " ".join(out.split())[-300:] or "nothing was printed"
    what = f"the run over MPI came to no answer within {seconds:g} s: {last}"
    return Feedback(what, "", "an answer of all ranks", "try python -m collectives run yourself")


def _run(command: list[str], seconds: float) -> str:
    home = str(Path(errors.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**ALLOW, **os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]
