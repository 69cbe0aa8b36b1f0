"""`why`: what algorithm='auto' takes, and why."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.commands.options import add_clock, add_size, given_clock
from collectives.console import console
from collectives.study.why import why


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("why", help="what algorithm='auto' takes, and why")
    parser.add_argument("primitive")
    add_size(parser)
    add_clock(parser)
    parser.add_argument(
        "--in-order", action="store_true", help="for an operator that does not commute"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    clock, commutative = given_clock(arguments), not arguments.in_order
    text, prices = why(arguments.primitive, arguments.p, arguments.n, clock, commutative)
    print(text)
    console().print(prices)
    return 0
