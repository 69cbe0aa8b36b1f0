"""`check`: say how far a lab has come, in seconds, without MPI."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.labs import grader
from collectives.labs.commands.options import add_folder, lab_of
from collectives.labs.sandbox import Limits
from collectives.labs.writers.text import show


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("check", help="how far a lab has come: all but the run over MPI")
    add_folder(parser)
    parser.add_argument(
        "--hint", type=int, choices=(0, 1, 2), default=1, help="how many hints (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    lab = lab_of(arguments.folder, arguments.lab)
    limits = Limits(seconds=arguments.seconds)
    verdict = grader.grade(lab, arguments.folder, limits=limits, mpi=False)
    show(verdict, arguments.hint)
    return 0 if verdict.right else 1
