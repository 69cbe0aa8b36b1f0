"""`list`: what there is, what it costs and who invented it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.algorithms.language.registry import REDUCTIONS
from collectives.catalogue import algorithms_for, titled
from collectives.commands.options import PRIMITIVES_HELP, add_size, add_topology, asked_machine
from collectives.console import console, table
from collectives.study.optimality import literature, markdown, optimality_table


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("list", help="what there is, what it costs and who invented it")
    parser.add_argument("primitives", **PRIMITIVES_HELP)
    parser.add_argument("--bounds", action="store_true", help="counted, beside the lower bounds")
    parser.add_argument("--bibtex", action="store_true", help="the literature, for LaTeX")
    parser.add_argument(
        "--markdown", action="store_true", help="with --bounds: the whole catalogue, as a page"
    )
    add_size(parser)
    add_topology(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    if arguments.markdown:
        print(markdown(), end="")
        return 0
    primitives, machine = arguments.primitives or PRIMITIVES, asked_machine(arguments)
    if arguments.bibtex:
        print("\n".join(work.bibtex for work in literature(primitives)), end="")
        return 0
    for primitive in primitives:
        if arguments.bounds:
            console().print(optimality_table(primitive, arguments.p, arguments.n, machine))
        else:
            console().print(_algorithms(primitive))
    if not arguments.bounds:
        console().print(_literature(primitives))
    return 0


def _literature(primitives: Sequence[str]) -> Table:
    new = table("references (--bibtex for all of it)", "cited as", "title")
    for work in literature(primitives):
        new.add_row(escape(work.label), escape(work.text))
    return new


def _algorithms(primitive: str) -> Table:
    order = ["rank order"] if primitive in REDUCTIONS else []
    new = table(primitive, "algorithm", "cost", "restrictions", *order, "reference")
    for name in algorithms_for(primitive):
        algorithm = REGISTRY[primitive][name]
        restrictions = algorithm.restrictions.partition(";")[0]
        kept = ["kept" if algorithm.keeps_order else "not kept"] if order else []
        row = titled(primitive, name), algorithm.cost, restrictions, *kept, algorithm.reference
        new.add_row(*map(escape, row))
    for other, spec in _other_names(primitive):
        new.add_row(escape(other), escape(f"same as {spec}"))
    return new


def _other_names(primitive: str) -> Iterator[tuple[str, str]]:
    """The other names of algorithms, each with what it stands for."""
    for name, algorithm in REGISTRY[primitive].items():
        for other, parameters in algorithm.names.items():
            if other != name:
                yield other, f"{name}:{parameters}" if parameters else name
