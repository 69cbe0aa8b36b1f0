"""`why`: what algorithm='auto' takes, and why."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.commands.options import add_size, add_topology, asked_machine, one_primitive
from collectives.console import console
from collectives.study.why import why


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("why", help="what algorithm='auto' takes, and why")
    parser.add_argument("primitive", help="or an algorithm, as bcast.ring:segments=8")
    parser.add_argument("algorithms", nargs="*", help="to be priced beside those that auto takes")
    add_size(parser)
    add_topology(parser)
    parser.add_argument(
        "--in-order", action="store_true", help="for an operator that does not commute"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    machine, commutative = asked_machine(arguments), not arguments.in_order
    primitive, also = one_primitive(arguments.primitive, arguments.algorithms)
    text, prices = why(primitive, arguments.p, arguments.n, machine, commutative, also)
    print(text)
    console().print(prices)
    return 0
