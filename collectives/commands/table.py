"""`table`: what algorithm='auto' takes, for all lengths; and how to make such a table."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.algorithms import PRIMITIVES
from collectives.catalogue import algorithms_for
from collectives.choice import ENVIRONMENT, choices, parse
from collectives.commands.options import PRIMITIVES_HELP, add_topology, asked_machine, ranks, size
from collectives.console import console
from collectives.errors import ArgumentError
from collectives.files import STDOUT, check_target, write
from collectives.study.tables import CLUSTER, DECLARED, LARGEST, table_text
from collectives.study.why import table_of
from collectives.units import format_bytes


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("table", help="what algorithm='auto' takes, for all lengths")
    parser.add_argument("primitives", **PRIMITIVES_HELP)
    parser.add_argument(
        "-p", type=ranks, action="append", default=[], help="number of ranks; may be repeated"
    )
    add_topology(parser, ranks=False)
    parser.add_argument(
        "--longest",
        type=size,
        metavar="BYTES",
        help=f"the longest vectors a table is made for ({format_bytes(LARGEST)}); less is quicker",
    )
    parser.add_argument(
        "--write",
        metavar="FILE",
        help="make a table for the machine given, or those of the declared table, and write it; "
        f"{ENVIRONMENT}=FILE makes auto use it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    primitives = arguments.primitives or PRIMITIVES
    for primitive in primitives:
        algorithms_for(primitive)  # raises if there is no such primitive
    if arguments.write is not None:
        check_target(arguments.write, "--write")
    several = arguments.p
    machine = asked_machine(argparse.Namespace(**{**vars(arguments), "p": max(several or [1])}))
    made = machine is not None or arguments.write is not None
    if arguments.longest is not None and not made:
        raise ArgumentError(
            "table: --longest is for a table that is made, got neither a machine nor --write; "
            "give --topology, a clock or --write FILE"
        )
    if made:
        cluster = CLUSTER if machine is None and not several else None
        longest = LARGEST if arguments.longest is None else arguments.longest
        text = table_text(machine or DECLARED, several, primitives, cluster, longest)
        if arguments.write is not None:
            write(arguments.write, text, "--write")
            if arguments.write != STDOUT:
                print(f"{ENVIRONMENT}={arguments.write}")
            return 0
        found = parse("for the machine given", text)
    else:
        found = choices()
    for primitive in primitives:
        console().print(table_of(primitive, found, arguments.p))
    print("\n" + found.reach)
    return 0
