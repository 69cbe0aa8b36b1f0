"""`list`: which labs there are."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.console import console, table
from collectives.labs.lab import lab, labs


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("list", help="which labs there are")
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="(%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    rows = table("", "lab", "minutes", "points", "title")
    for key in labs():
        each = lab(key)
        rows.add_row(key, str(each.minutes), f"{each.of:g}", each.title[arguments.lang])
    console().print(rows)
    return 0
