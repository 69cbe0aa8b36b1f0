"""`error`: what lossy algorithms lose, and what they save."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.commands.options import add_size
from collectives.console import console
from collectives.study.compression import loss_table


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("error", help="what lossy algorithms lose, and what they save")
    parser.add_argument("primitive", nargs="?", default="allreduce", help="(%(default)s)")
    add_size(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the data (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    console().print(loss_table(arguments.primitive, arguments.p, arguments.n, arguments.seed))
    return 0
