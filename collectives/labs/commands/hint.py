"""`hint`: what to look at in a lab, one rung after the other; never the solution."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.console import console
from collectives.errors import ArgumentError
from collectives.labs.commands.options import add_lab
from collectives.labs.lab import lab


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("hint", help="what to look at in a lab")
    add_lab(parser)
    parser.add_argument("task", nargs="?", help="one of its functions; all without one")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    chosen = lab(arguments.lab)
    out = console()
    names = [task.function for task in chosen.tasks]
    if arguments.task not in (None, *names):
        raise ArgumentError(
            f"hint: task must be one of {', '.join(names) or 'none, for this lab'}, got "
            f"{arguments.task}; leave it out for all"
        )
    for task in chosen.tasks:
        if arguments.task in (None, task.function):
            out.print(f"{task.function}: {task.about}", markup=False, soft_wrap=True)
            for rung, text in task.more.items():
                out.print(f"  {rung}: {text}", markup=False, soft_wrap=True)
    for text in chosen.settings.get("hints", ()):
        out.print(text, markup=False, soft_wrap=True)
    return 0
