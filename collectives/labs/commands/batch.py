"""`batch`: grade a folder of submissions, with a table, and which have the same code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.markup import escape

from collectives import files
from collectives.commands.reading import number
from collectives.console import console, table
from collectives.labs import batch, writers
from collectives.labs.batch import Marked
from collectives.labs.commands.options import add_seconds
from collectives.labs.lab import Lab, lab
from collectives.labs.sandbox import Limits
from collectives.labs.similar import Pair
from collectives.labs.writers import spreadsheet
from collectives.labs.writers.text import lines
from collectives.units import seconds


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("batch", help="grade a folder of submissions")
    parser.add_argument("folder", type=Path, help="with a folder or a file for each student")
    parser.add_argument("--lab", required=True, help="which lab it is: 3, or zoo")
    parser.add_argument("--jobs", type=number, default=batch.jobs(), help="at a time (%(default)s)")
    add_seconds(parser)
    parser.add_argument("--no-mpi", action="store_true", help="leave the run over MPI out")
    parser.add_argument("--csv", metavar="FILE", help="the table, for a spreadsheet")
    parser.add_argument("--feedback", metavar="DIR", help="for each a text to give back, and JSON")
    parser.add_argument(
        "--anonymous",
        metavar="KEY",
        nargs="?",
        const="",
        help="numbers for names; whose each is, goes to the file KEY, if one is given",
    )
    parser.add_argument("--leaderboard", action="store_true", help="rank by simulated time")
    parser.add_argument(
        "--similar", type=float, default=0.8, help="note pairs from this share on (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status: 2 if somebody has no verdict."""
    chosen = lab(arguments.lab)
    found = batch.submissions(arguments.folder, chosen)
    marked = _graded(chosen, found, arguments)
    if arguments.anonymous is not None:
        marked, names = batch.anonymous(marked)
        if arguments.anonymous:
            files.write(arguments.anonymous, spreadsheet.key(names), "--anonymous")
    marked.sort(key=lambda each: each.name)
    alike = batch.alike(chosen, marked, arguments.similar)
    _show(marked, alike)
    if arguments.leaderboard:
        _rank(marked)
    if arguments.csv:
        files.write(arguments.csv, spreadsheet.text(marked, alike), "--csv")
    if arguments.feedback:
        _give_back(marked, Path(arguments.feedback))
    return 2 if any(each.verdict is None for each in marked) else 0


def _graded(chosen: Lab, found: dict[str, Path], arguments: argparse.Namespace) -> list[Marked]:
    limits = Limits(seconds=arguments.seconds)
    marked: list[Marked] = []
    many = min(arguments.jobs, len(found))
    for each in batch.grade_all(chosen, found, limits, not arguments.no_mpi, many):
        marked.append(each)
        print(f"{len(marked)} of {len(found)}", file=sys.stderr)
    return marked


def _show(marked: list[Marked], alike: list[Pair]) -> None:
    tasks = spreadsheet.tasks(marked)
    rows = table("", "name", "points", *tasks, "first")
    for each in marked:
        points = spreadsheet.points(each)
        cells = [points.get(task, "") for task in tasks]
        total = f"{points['points']}/{points['of']}"
        rows.add_row(escape(each.name), total, *cells, escape(_short(each)))
    out = console()
    out.print(rows)
    for pair in alike:
        out.print(f"{pair.one} and {pair.other}: {pair.how}", markup=False, soft_wrap=True)
    if alike:
        out.print("Look at these: it is a note about code, and says nothing of who wrote it.")


def _short(each: Marked, most: int = 60) -> str:
    says = spreadsheet.says(each)
    return says if len(says) <= most else f"{says[: most - 3]}..."


def _rank(marked: list[Marked]) -> None:
    for task, times in batch.leaders(marked).items():
        rows = table("", "", task, "name")
        for place, (time, name) in enumerate(times, 1):
            rows.add_row(str(place), seconds(time), escape(name))
        console().print(rows)


def _give_back(marked: list[Marked], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in marked:
        if each.verdict is not None:
            text = "\n".join(lines(each.verdict)) + "\n"
            files.write(str(folder / f"{each.name}.txt"), text, "--feedback")
            values = writers.in_form("json", each.verdict)
            files.write(str(folder / f"{each.name}.json"), values, "--feedback")
