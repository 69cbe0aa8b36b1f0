"""`grade`: the verdict on a submission, with points, for people and for programs."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.labs import grader
from collectives.labs.commands.options import add_folder, lab_of
from collectives.labs.sandbox import Limits
from collectives.labs.writers import plain
from collectives.labs.writers.text import show


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("grade", help="the verdict on a submission, with points")
    add_folder(parser)
    parser.add_argument("--json", metavar="FILE", help="write the verdict there, or to - ")
    parser.add_argument("--no-mpi", action="store_true", help="leave the run over MPI out")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    lab = lab_of(arguments.folder, arguments.lab)
    limits = Limits(seconds=arguments.seconds)
    verdict = grader.grade(lab, arguments.folder, limits=limits, mpi=not arguments.no_mpi)
    if arguments.json != "-":
        show(verdict, 1)
    if arguments.json:
        plain.write(verdict, arguments.json)
    return 0 if verdict.right else 1
