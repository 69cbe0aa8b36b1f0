"""`grade`: the verdict on a submission, with points, for people and for programs."""

from __future__ import annotations

import argparse
from typing import Any

from collectives import files
from collectives.errors import ArgumentError
from collectives.labs import grader, writers
from collectives.labs.commands.options import add_folder, lab_of
from collectives.labs.sandbox import Limits
from collectives.labs.unread import unread
from collectives.labs.verdict import Verdict
from collectives.labs.writers.text import show


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("grade", help="the verdict on a submission, with points")
    add_folder(parser)
    for form in writers.FORMS:
        parser.add_argument(
            f"--{form}", metavar="FILE", help=f"{writers.about(form)}, to a file, or to - "
        )
    parser.add_argument("--leaderboard", action="store_true", help="with the simulated seconds")
    parser.add_argument("--no-mpi", action="store_true", help="leave the run over MPI out")
    parser.add_argument(
        "--exit-zero", action="store_true", help="status 0 also where not everything is right"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    verdict = _verdict(arguments)
    asked = {form: getattr(arguments, form) for form in writers.FORMS}
    asked = {form: path for form, path in asked.items() if path is not None}
    if files.STDOUT not in asked.values():
        show(verdict, 1)
    for form, path in asked.items():
        writers.write(form, verdict, path, arguments.leaderboard)
    return 0 if verdict.right or arguments.exit_zero else 1


def _verdict(arguments: argparse.Namespace) -> Verdict:
    """Where the lab is known, a submission that cannot be read has a verdict, too."""
    limits = Limits(seconds=arguments.seconds)
    chosen = lab_of(arguments.folder, arguments.lab)
    try:
        return grader.grade(chosen, arguments.folder, limits=limits, mpi=not arguments.no_mpi)
    except ArgumentError as error:
        if not arguments.lab:
            raise
        return unread(chosen, str(error), not arguments.no_mpi)
