"""Rung 1: the file is one of a lab's, and its steps keep the rules.

What the student's process said is believed where it speaks against the submission; all that
speaks for it is the rounds that were handed over.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from collectives.labs.feedback import Feedback, of_message
from collectives.labs.handover import Case
from collectives.labs.lab import Task
from collectives.labs.ladder.attempt import Attempt, Step, failed
from collectives.labs.sandbox import Report
from collectives.labs.texts import UNREAD, unwelcome

ALLOWED = (
    "a file of a lab imports collectives.algorithms.language, numpy and the standard library, "
    "and touches nothing else"
)
LOOP = "look for a loop that goes on for ever"


def climb(attempt: Attempt, report: Report) -> Step:
    """Hold the file and the report of its process against the rules."""
    found = (
        refused(attempt.file, attempt.text, report)
        or ended(attempt.file, report, _after(attempt), _leaves(attempt))
        or _declared(attempt.task, attempt)
        or _broken(attempt, report)
        or _answers(attempt)
    )
    if found:
        return failed(found)
    return Step(True, f"{len(attempt.handed.rounds)} cases recorded")


def refused(file: str, text: str, report: Report) -> Feedback | None:
    """What it tried that no file of a lab may do."""
    hint = "take it out: whatever you need is send, recv, reduce, copy and scratch"
    if found := unwelcome(text):
        name, line = found
        whose = _whose(name)
        return Feedback(f"imports {name}{whose}", f"{file}:{line}", ALLOWED, hint)
    for line_ in report.of("refused"):
        what, where = str(line_["what"])[:200], line_["line"]
        name = what.removeprefix("imports ")
        whose = _whose(name) if what.startswith("imports ") else ""
        place = f"{file}:{where}" if where else file
        return Feedback(f"{what}{whose}", place, ALLOWED, hint)
    if report.ended == "forged":
        return Feedback("writes to the grader by itself", file, ALLOWED, hint)
    return None


def _whose(name: str) -> str:
    if name.startswith("collectives.algorithms."):
        return ", one of the library's own pages"
    if name.partition(".")[0] in ("mpi4py", "torch"):
        return ", which has the built-in"
    return ""


def ended(file: str, report: Report, after: str = "", leaves: str = "") -> Feedback | None:
    """Why its process did not come to the end of what it was asked.

    Parameters
    ----------
    file : str
        The student's.
    report : Report
    after : str
        How far it had come, in words.
    leaves : str
        The line that most likely ended it, if it ended itself.
    """
    for line in report.of("endless"):
        where = _place(file, line)
        what = "does not come to its next yield or its end"
        if line["asleep"]:
            return Feedback(f"{what}: it sleeps or waits", where, "steps, and no waiting", LOOP)
        return Feedback(what, where, "an end within a moment", LOOP)
    for line in report.of("memory"):
        what = "takes more memory than a lab may"
        return Feedback(what, _place(file, line), "scratch space of a few vectors", LOOP)
    for line in report.of("broke"):
        what = f"our own code broke in its process: {line['message']}"
        hint = "does it change something of Python's, or of the library's?"
        return Feedback(what, file, "steps, and nothing else", hint)
    last = f"{file}{after}"
    endings = {
        "late": ("is not done when the time is over", LOOP),
        "flood": ("prints more than a mebibyte", "take the print out, or print once"),
        "handed": ("makes more rounds than any task needs", LOOP),
    }
    if report.ended in endings:
        what, hint = endings[report.ended]
        return Feedback(what, last, "a few rounds and an end", hint)
    if report.ended != "done":
        hint = "an algorithm ends by coming to its last line: no os._exit, no signals"
        what = f"its process {report.ended} in the middle"
        return Feedback(what, leaves or last, "an end", hint)
    return None


def _leaves(attempt: Attempt) -> str:
    """The line that most likely ended the process."""
    for number, line in enumerate(attempt.text.splitlines(), 1):
        if re.search(r"\b(_exit|abort|kill|raise_signal)\(", line.partition("#")[0]):
            return f"{attempt.file}:{number}"
    return ""


def _after(attempt: Attempt) -> str:
    return f", after {len(attempt.handed.rounds)} of {len(attempt.task.recorded())} cases"


def _place(file: str, line: dict) -> str:
    place = file + (f":{line['line']}" if line.get("line") else "")
    if "rank" in line:
        place += f", rank {line['rank']}"
    return place


def unloaded(report: Report) -> Feedback | None:
    """Why the file could not be loaded."""
    for line in report.of("broken"):
        text, _, place = str(line["message"])[:500].rpartition(" (")
        return Feedback(text, place.rstrip(")"), "a file that can be run", str(line["hint"])[:300])
    return None


def _broken(attempt: Attempt, report: Report) -> Feedback | None:
    """It could not be loaded, the function is not there, or a step breaks a rule."""
    if found := unloaded(report):
        return found
    task = attempt.task
    if any(report.of("absent")):
        return Feedback(
            f"there is no {task.primitive} called {task.function}",
            attempt.file,
            f'a function {task.function} below @algorithm("{task.primitive}")',
            "keep the name and the line above it as they were handed out",
        )
    if attempt.handed.failed:
        wrong = attempt.handed.failed
        return of_message(str(wrong["message"])[:600], str(wrong["hint"])[:300], wrong["case"])
    return None


def _declared(task: Task, attempt: Attempt) -> Feedback | None:
    """Restrictions that the task does not allow."""
    declared = attempt.handed.declared
    wrong = [
        name
        for name, allowed in (
            ("power_of_two", task.power_of_two),
            ("commutative", task.commutative),
            ("minimum_p", False),
        )
        if not allowed and int(declared.get(name, 0)) > (name == "minimum_p")
    ]
    if wrong:
        return Feedback(
            f"declares {wrong[0]}",
            f"{attempt.file}:{attempt.handed.first}",
            "an algorithm for every p, and every operator that the sheet names",
            "take it out of the line with @algorithm, and see for which p it fails",
        )
    return None


def _answers(attempt: Attempt) -> Feedback | None:
    """A word of the language that would be the answer."""
    words = set(attempt.task.without)
    try:
        nodes: list[Any] = [*ast.walk(ast.parse(attempt.text))]
    except UNREAD:
        return None
    for node in nodes:
        names = []
        if isinstance(node, ast.ImportFrom) and "language" in str(node.module):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        for name in words.intersection(names):
            return Feedback(
                f"uses {name}",
                f"{attempt.file}:{node.lineno}",
                "your own answer to what this word does",
                "the sheet says what to find out: draw it for p = 8 first",
            )
    return None


def smallest(cases: list[Case], number: int) -> Case | None:
    """The case of a number that was handed over, if there is one."""
    return cases[number] if 0 <= number < len(cases) else None
