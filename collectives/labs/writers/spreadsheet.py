"""The verdicts on many submissions as a table: one row each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from collectives.labs.batch import Marked
from collectives.labs.similar import Pair
from collectives.labs.writers.clean import cleaned


def tasks(marked: Iterable[Marked]) -> list[str]:
    """The names of all tasks, as the lab has them."""
    seen = [task.name for each in marked if each.verdict for task in each.verdict.tasks]
    return [*dict.fromkeys(seen)]


def points(each: Marked) -> dict[str, str]:
    """`points`, `of`, and the points of each task; empty where there is no verdict."""
    values: dict[str, str] = dict.fromkeys([*tasks([each]), "points", "of"], "")
    if each.verdict is not None:
        values |= {task.name: f"{task.points:g}" for task in each.verdict.tasks}
        values |= {"points": f"{each.verdict.points:g}", "of": f"{each.verdict.of:g}"}
    return values


def says(each: Marked) -> str:
    """One sentence: why there is no verdict, what it tried, or what is wrong first."""
    if each.verdict is None:
        return f"NOT GRADED: {each.problem}"
    if each.verdict.refused:
        return f"not allowed: it {each.verdict.refused}"
    for task, rung in each.verdict.failures():
        what = rung.feedback.what if rung.feedback else rung.said
        return cleaned(f"{task}: {what}").replace("\n", " ")
    return ""


def text(marked: Sequence[Marked], alike: Iterable[Pair]) -> str:
    """Comma-separated values, a row for each submission."""
    names = tasks(marked)
    notes: dict[str, list[str]] = {each.name: [] for each in marked}
    for pair in alike:
        notes[pair.one].append(f"{pair.other}: {pair.how}")
        notes[pair.other].append(f"{pair.one}: {pair.how}")
    rows = [["name", "points", "of", *names, "first", "similar", "seconds", "fingerprint"]]
    for each in marked:
        got = points(each)
        row = [each.name, got["points"], got["of"], *(got.get(name, "") for name in names)]
        seconds = "" if each.verdict is None else f"{each.verdict.seconds:.1f}"
        mark = "" if each.verdict is None else each.verdict.fingerprint
        rows.append([*row, says(each), "; ".join(notes[each.name]), seconds, mark])
    return _written(rows)


def key(names: Mapping[str, str]) -> str:
    """Whose each number is."""
    return _written([["number", "name"], *([*pair] for pair in names.items())])


def _written(rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_plain(cell) for cell in row] for row in rows)
    return out.getvalue()


def _plain(cell: str) -> str:
    """A spreadsheet would compute what begins like this, and a student may have written it."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell
