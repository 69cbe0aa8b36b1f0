"""Grade a folder of submissions, several at a time.

Each is graded as `grade` does it, in a process of its own: what goes wrong with one keeps
nobody else from a verdict.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from collectives.errors import ArgumentError
from collectives.labs import grader, notebook
from collectives.labs.lab import Lab, lab
from collectives.labs.sandbox import Limits
from collectives.labs.similar import Pair, pairs
from collectives.labs.unread import unread
from collectives.labs.verdict import Verdict

# Folders that a file manager puts beside what is handed in.
LITTER = ("__MACOSX", "__pycache__")


@dataclass(frozen=True)
class Marked:
    """One submission.

    Attributes
    ----------
    name : str
        Of its folder, or of its file.
    verdict : Verdict or None
    problem : str
        Why there is no verdict: an error of the grader's, not of the student's.
    text : str
        Of its file; empty if there is none.
    """

    name: str
    verdict: Verdict | None
    problem: str = ""
    text: str = ""


def jobs() -> int:
    """How many are graded at a time: each takes two cores."""
    return max(1, (os.cpu_count() or 1) // 2)


def submissions(folder: Path, chosen: Lab) -> dict[str, Path]:
    """Whose, and where: each folder in it, and each file of the lab's kind.

    Raises
    ------
    ArgumentError
        There are none.
    """
    wanted = Path(chosen.file)
    suffixes = (wanted.suffix, notebook.SUFFIX)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or path.name in LITTER:
            continue
        if path.is_dir():
            found[path.name] = _within(path, wanted.name)
        elif path.suffix in suffixes:
            found[path.stem] = path
    if not found:
        raise ArgumentError(
            f"labs: a folder with submissions is needed, got {folder}; "
            f"put a folder with {wanted} in it for each student, or a file NAME{wanted.suffix}"
        )
    return found


def _within(folder: Path, wanted: str) -> Path:
    """The file of a folder, or the only one below it, or the folder if it is not clear."""
    below = [x for x in folder.rglob(wanted) if not set(LITTER) & set(x.parts)]
    beside = folder / wanted
    return beside if beside in below else below[0] if len(below) == 1 else folder


def grade_all(
    chosen: Lab, found: Mapping[str, Path], limits: Limits, mpi: bool, many: int
) -> Iterator[Marked]:
    """Grade them, in the order in which they are done.

    Parameters
    ----------
    chosen : Lab
    found : mapping of str to Path
    limits : Limits
    mpi : bool
        Climb rung 6, too.
    many : int
        At a time.
    """
    with ProcessPoolExecutor(many, mp_context=get_context("spawn")) as pool:
        yield from _done(pool, chosen, found, limits, mpi)


def _done(
    pool: Executor, chosen: Lab, found: Mapping[str, Path], limits: Limits, mpi: bool
) -> Iterator[Marked]:
    asked = {
        pool.submit(grade_one, chosen.key, path, limits, mpi): name for name, path in found.items()
    }
    for done in as_completed(asked):
        name = asked[done]
        if error := done.exception():
            yield Marked(name, None, f"{type(error).__name__}: {error}")
        else:
            yield Marked(name, *done.result())


def grade_one(key: str, path: Path, limits: Limits, mpi: bool) -> tuple[Verdict, str, str]:
    """The verdict, no problem, and the text; in a folder whose name says nothing of whose it is."""
    chosen = lab(key)
    with tempfile.TemporaryDirectory(prefix="lab-") as empty:
        copy = Path(empty) / chosen.file
        if path.is_dir():
            said = f"one {copy.name} is needed in the folder, got none, or several"
            return unread(chosen, said, mpi), "", ""
        if path.is_symlink():  # to the file of somebody else, perhaps
            return unread(chosen, f"a file is needed, got a link called {copy.name}", mpi), "", ""
        try:
            text = grader.read(path, copy.name)[1]
            copy.write_text(text, encoding="utf-8")
            return grader.grade(chosen, copy, limits=limits, mpi=mpi), "", text
        except ArgumentError as error:
            said = str(error).replace(str(path), copy.name).replace(path.name, copy.name)
            return unread(chosen, said, mpi), "", ""


def anonymous(marked: list[Marked]) -> tuple[list[Marked], dict[str, str]]:
    """The same under numbers drawn by chance, and whose each number is."""
    order = random.SystemRandom().sample(marked, len(marked))
    digits = len(str(len(order)))
    names = {f"s{number:0{digits}}": each.name for number, each in enumerate(order, 1)}
    hidden = [replace(each, name=code) for code, each in zip(names, order, strict=True)]
    return hidden, names


def alike(chosen: Lab, marked: list[Marked], least: float) -> list[Pair]:
    """Those with much the same code. Of the zoo there is none: answers are no code."""
    if chosen.kind == "zoo":
        return []
    texts = {each.name: each.text for each in marked if each.text}
    given = (chosen.folder / chosen.file).read_text(encoding="utf-8")
    return pairs(texts, given, least)


def leaders(marked: list[Marked]) -> dict[str, list[tuple[float, str]]]:
    """For each task the simulated seconds and the name, the quickest first."""
    found: dict[str, list[tuple[float, str]]] = {}
    for each in marked:
        if each.verdict is not None and not each.verdict.refused:
            for task, seconds in each.verdict.predicted.items():
                found.setdefault(task, []).append((seconds, each.name))
    return {task: sorted(times) for task, times in found.items()}
