"""What students hand in: the reference solutions with mistakes that are really made.

`submissions/` has them, lab by lab: five that are wrong, one that cheats, one deadlock, one
without an end. An entry says in which task it shows, which rung fails, how many points the task
gets without the run over MPI, and a sentence of the verdict. Its file is the solution with some
text replaced, with another body of one function, or with something before or after it.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from collectives.labs.lab import lab

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).with_suffix("")


@dataclass(frozen=True)
class Submission:
    """One file, and what must be said about it."""

    lab: str
    name: str
    task: str
    rung: str
    points: float
    says: str
    text: str

    def __str__(self):
        return f"{self.lab}-{self.name}"

    @property
    def alone(self):
        """The lab with this task only."""
        whole = lab(self.lab)
        tasks = tuple(task for task in whole.tasks if task.function == self.task)
        settings = dict(whole.settings)
        settings["answers"] = settings.get("answers", ()) if self.task == "answers" else ()
        training = settings.get("training", ())
        settings["training"] = [each for each in training if each["function"] == self.task]
        return replace(whole, tasks=tasks, settings=settings)


def solution(key):
    """The text of a reference solution."""
    return (lab(key).solution / "mine.py").read_text(encoding="utf-8")


def with_body(text, function, body):
    """The text with another body of one function, which has no docstring then."""
    start = text.index("\n", text.index(f"def {function}(")) + 1
    ends = [at for at in (text.find(mark, start) for mark in ("\n@", "\ndef ")) if at > 0]
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return text[:start] + lines + "\n" + text[min(ends, default=len(text)) :]


def submission(key, entry):
    """One entry of a file."""
    text = solution(key)
    for old, new in entry.pop("replace", ()):
        assert old in text, old
        text = text.replace(old, new, 1)
    if body := entry.pop("body", None):
        text = with_body(text, entry.pop("function", entry["task"]), body)
    text = entry.pop("before", "") + text + entry.pop("after", "")
    return Submission(key, text=text.replace("FILE", __file__), **entry)


def submissions(key):
    """Those of a lab."""
    text = (FOLDER / f"lab{key}.toml").read_text(encoding="utf-8")
    return [submission(key, entry) for entry in tomllib.loads(text)["submission"]]


ALL = [each for key in "12345678" for each in submissions(key)]
