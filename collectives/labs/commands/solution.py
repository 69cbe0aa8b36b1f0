"""`solution`: the reference solution, for teachers."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from collectives.errors import ArgumentError
from collectives.labs.commands.options import add_lab
from collectives.labs.lab import lab


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("solution", help="the reference solution, for teachers")
    add_lab(parser)
    parser.add_argument("--teacher", action="store_true", help="you teach it")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    chosen = lab(arguments.lab)
    if not arguments.teacher:
        raise ArgumentError(
            "labs: --teacher is needed, got none; students ask for `hint`, or `check --hint 2`"
        )
    for path in sorted(chosen.solution.glob("*.*")):
        sys.stdout.write(path.read_text(encoding="utf-8"))
    return 0
