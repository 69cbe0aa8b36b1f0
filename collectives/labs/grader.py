"""Grade one submission: start its process, climb the ladder, write the verdict."""

from __future__ import annotations

import ast
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from collectives.engines.endless import until
from collectives.errors import FAILURES, ArgumentError, in_words
from collectives.labs import answers, notebook, sandbox, zero, zoo
from collectives.labs.feedback import of_message
from collectives.labs.handover import Case, Handed, Rounds
from collectives.labs.lab import MINE, Lab, Task
from collectives.labs.ladder import contract, mpirun, path, prediction, progress, result
from collectives.labs.ladder.attempt import Attempt, Step, failed
from collectives.labs.sandbox import Limits, Report
from collectives.labs.texts import UNREAD, remember
from collectives.labs.verdict import (
    FAILED,
    NOT_REACHED,
    NOT_RUN,
    PASSED,
    RUNGS,
    Graded,
    Rung,
    Verdict,
)

# What data raise that have not the form that our own code gives them.
NO_FORM = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)

# The most bytes of a submission.
LONGEST = 1 << 20

# Seconds of a core for all rungs of a task but the one over MPI, and of the clock for one.
LADDER, RUNG = 20.0, 60.0

# Students' processes at a time.
PROCESSES = 2

# For which p, with n = p + 1, the steps are made on buffers that let nobody see elements.
STRICT = (1, 2, 3, 4, 5, 8)


def grade(lab: Lab, folder: Path, *, limits: Limits | None = None, mpi: bool = True) -> Verdict:
    """Grade a folder, or a file in it.

    Parameters
    ----------
    lab : Lab
    folder : Path
        With `mine.py`, or that file.
    limits : Limits, optional
    mpi : bool
        Climb rung 6, too.

    Raises
    ------
    ArgumentError
        There is no such file.
    """
    began = time.monotonic()
    file, text = read(folder, lab.file)
    if lab.kind == "zoo":
        return zoo.grade(lab, text, round(time.monotonic() - began, 2))
    remember(file, text)
    grading = _Grading(lab, file, text, limits or Limits())
    grading.climb(mpi)
    return grading.verdict(time.monotonic() - began)


def read(folder: Path, name: str = MINE) -> tuple[str, str]:
    """The name and the text of a submission."""
    path_ = folder / name if folder.is_dir() else folder
    if not path_.is_file():
        raise ArgumentError(f"labs: a folder with {name} is needed, got {folder}; see `start`")
    if path_.stat().st_size > LONGEST:
        raise ArgumentError(f"labs: a file of at most {LONGEST} bytes is needed, got {path_}")
    if path_.suffix == notebook.SUFFIX:
        return name, notebook.handed_in(path_)
    return path_.name, path_.read_text(encoding="utf-8", errors="replace")


class _Grading:
    """What is known of a submission so far: the steps of each of its tasks."""

    def __init__(self, lab: Lab, file: str, text: str, limits: Limits):
        self.lab, self.file, self.text, self.limits = lab, file, text, limits
        self.steps: list[list[Step]] = []
        self.more: list[Graded] = []
        self.attempts: list[Attempt] = []
        self.refused = ""
        self.printed = ""
        self.lacks: list[str] = []
        self.no_mpi = False

    def climb(self, mpi: bool) -> None:
        with ThreadPoolExecutor(PROCESSES) as pool:
            reports = [*pool.map(self._report, self.lab.tasks)]
        for task, report in zip(self.lab.tasks, reports, strict=True):
            handed = received(task, report)
            self._note(report)
            attempt = Attempt(task, handed, self.file, self.text, _values(report, task))
            self.attempts.append(attempt)
            self.steps.append(_climbed(attempt, report))
        self._ask()
        self._over_mpi(mpi)

    def _report(self, task: Task) -> Report:
        return sandbox.run(_request(task, self.file, self.text), self.limits)

    def _ask(self) -> None:
        """Ask for what the lab wants to know beside its tasks: answers, and trainings."""
        asked = {"calls": answers.calls(self.lab), "training": zero.calls(self.lab)}
        if not any(asked.values()):
            return
        request = {"file": self.file, "text": self.text, "tasks": [], **asked}
        report = sandbox.run(request, self.limits)
        self._note(report)
        try:
            self.more += self._asked(report)
        except NO_FORM:
            report.lines, report.ended = [], "forged"
            self._note(report)
            self.more += self._asked(report)

    def _asked(self, report: Report) -> list[Graded]:
        refused = contract.refused(self.file, self.text, report)
        ended = contract.ended(self.file, report) or contract.unloaded(report)
        found = answers.graded(self.lab, self.file, report, refused)
        trained = zero.graded(self.lab, self.file, report, refused, ended)
        return [*([found] if found else []), *trained]

    def _note(self, report: Report) -> None:
        self.printed = self.printed or report.printed
        found = contract.refused(self.file, self.text, report)
        self.refused = self.refused or (found.what if found else "")
        for line in report.of("confined"):
            self.lacks += [lack for lack in line["lacks"] if lack not in self.lacks]

    def _over_mpi(self, mpi: bool) -> None:
        ready = [
            (attempt, steps)
            for attempt, steps in zip(self.attempts, self.steps, strict=True)
            if attempt.task.points[5] and len(steps) > 2 and steps[2].passed and attempt.rendezvous
        ]
        done = mpirun.climb([attempt for attempt, _ in ready]) if mpi else None
        self.no_mpi = done is None
        for (_, steps), step in zip(ready, done or [], strict=bool(done)):
            steps.extend([Step(True)] * (5 - len(steps)))
            steps.append(step)

    def verdict(self, seconds: float) -> Verdict:
        tasks = [
            _graded(attempt.task, steps, self.no_mpi)
            for attempt, steps in zip(self.attempts, self.steps, strict=True)
        ]
        times = {
            attempt.task.function: attempt.seconds
            for attempt in self.attempts
            if attempt.seconds is not None
        }
        return Verdict(
            self.lab.key,
            self.lab.title["en"],
            (*tasks, *self.more),
            self.refused,
            tuple(self.lacks),
            self.printed,
            round(seconds, 2),
            times,
            fingerprint(self.text),
        )


def _climbed(attempt: Attempt, report: Report) -> list[Step]:
    """The steps on rungs 1 to 5, up to the one after which it does not go on."""
    task = attempt.task
    others = (progress, result, path, prediction)
    rungs = [partial(contract.climb, attempt, report), *(partial(x.climb, attempt) for x in others)]
    steps: list[Step] = []
    attempt.deadline = time.process_time() + LADDER
    for number, climb in enumerate(rungs):
        if not task.points[number]:
            steps.append(Step(True))
            continue
        steps.append(_in_time(climb))
        if not steps[-1].passed and not steps[-1].goes_on:
            break
    return steps


def _in_time(climb: Callable[[], Step]) -> Step:
    """One rung, within the time that there is; nothing that was handed over ends the grader."""
    try:
        with until(time.monotonic() + RUNG):
            return climb()
    except FAILURES as error:
        hint = "as many rounds as the task needs, and no more"
        said = of_message(in_words(error), getattr(error, "hint", "") or hint)
        return failed(replace(said, expected=said.expected or "rounds that can be simulated"))


def _graded(task: Task, steps: Sequence[Step], no_mpi: bool) -> Graded:
    rungs = []
    for number, (name, of) in enumerate(zip(RUNGS, task.points, strict=True)):
        if not of:
            continue
        if number >= len(steps):
            outcome = NOT_RUN if name == "mpirun" and no_mpi else NOT_REACHED
            rungs.append(Rung(name, outcome, 0, of))
            continue
        step = steps[number]
        said = step.feedback
        if said is not None:
            said = said.otherwise(task.more.get(name, ""))
        outcome = PASSED if step.passed else FAILED
        rungs.append(Rung(name, outcome, of if step.passed else 0, of, step.said, said))
    return Graded(task.function, tuple(rungs))


def _request(task: Task, file: str, text: str) -> dict[str, Any]:
    plain = {
        "function": task.function,
        "primitive": task.primitive,
        "cases": [case.plain() for case in task.recorded()],
        "strict": [case.plain() for case in _strict(task)],
    }
    return {"file": file, "text": text, "tasks": [plain], "calls": prediction.calls(task)}


def _strict(task: Task) -> list[Case]:
    return [
        Case(task.primitive, p, 0 if task.primitive == "barrier" else p + 1)
        for p in STRICT
        if p in task.ranks
    ]


def received(task: Task, report: Report) -> Handed:
    """What was handed over. Where it has not the form that our own code gives it, it is forged."""
    handed = Handed(task.function)
    try:
        _receive(task, report, handed)
    except NO_FORM:
        report.ended = "forged"
    return handed


def _receive(task: Task, report: Report, handed: Handed) -> None:
    asked = task.recorded()
    for line in report.of("found"):
        handed.first, handed.declared = int(line["first"]), dict(line["declared"])
    for line in report.of("rounds"):
        case = asked[line["case"]]
        ranks = [Rounds(*mine) for mine in line["ranks"]]
        if len(ranks) != case.p or any(sum(mine.scratch) > case.room for mine in ranks):
            raise ValueError(case)
        handed.rounds[case] = ranks
    for line in report.of("failed"):
        some = _strict(task) if line["cases"] == "strict" else asked
        handed.failed = {**line, "case": contract.smallest(some, line["case"])}


def _values(report: Report, task: Task) -> Mapping[str, Any]:
    calls = prediction.calls(task)
    return {calls[line["call"]]["function"]: line for line in report.of("value")}


def fingerprint(text: str) -> str:
    """The same for files whose code is the same, whatever their comments and blanks are."""
    try:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node):
                del node.body[0]
        return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
    except UNREAD:
        return ""
