"""`predict`: what every algorithm takes on a machine, before it is there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from collectives.catalogue import algorithms_for, titled
from collectives.commands.options import add_size, add_topology, given_machine, one_primitive
from collectives.commands.sweep import add_sweep, run_sweep
from collectives.console import Screen, console, table
from collectives.machine.writing import dumps
from collectives.study.prediction import (
    SHARES,
    Prediction,
    Ranking,
    bound_of,
    predicted,
    ranked,
)
from collectives.study.pricing import ESTIMATED, LINE, SIMULATED
from collectives.study.tuning import tuned
from collectives.units import format_bytes, seconds

HOW = {
    SIMULATED: "simulated message by message",
    ESTIMATED: "estimated: messages that are sent together share links",
    LINE: "by the cost line",
}
MARK = {SIMULATED: "", ESTIMATED: "~", LINE: "="}


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("predict", help="what each would take on a machine, and why")
    parser.add_argument("primitive", help="or an algorithm, as bcast.ring:segments=8")
    parser.add_argument("algorithms", nargs="*", help="all without one")
    add_size(parser)
    add_topology(parser)
    parser.add_argument(
        "--tune", action="store_true", help="try other values of parameters, too, where cheap"
    )
    add_sweep(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    primitive, names = one_primitive(arguments.primitive, arguments.algorithms)
    names = names or list(algorithms_for(primitive))
    if arguments.ranks or arguments.sizes:
        return run_sweep(arguments, primitive, names)
    machine = given_machine(arguments)
    p = arguments.p
    bound, n = bound_of(primitive, p, arguments.n, machine)
    if arguments.tune:
        names = [spec for name in names for spec in tuned(primitive, name, p, n, machine)]
    with progress(f"predict {primitive}", len(names)) as step:
        found = [
            step(name, lambda name=name: predicted(primitive, name, p, n, machine, bound))
            for name in names
        ]
    ranking = Ranking(primitive, p, n, machine, bound, ranked(found))
    return run_sweep(arguments, primitive, names, [ranking]) if written(arguments) else show(ranking)
