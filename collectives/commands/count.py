"""`count`: messages, bytes and reductions of each algorithm."""

from __future__ import annotations

import argparse
from typing import Any

from rich.markup import escape

from collectives.algorithms import PRIMITIVES
from collectives.catalogue import titled
from collectives.commands.options import (
    NAMES_HELP,
    RANKS,
    add_nodes,
    add_size,
    by_primitive,
    failed,
    full_names,
)
from collectives.console import console, table
from collectives.errors import FAILURES, ArgumentError, RestrictionError
from collectives.study.simulation import count
from collectives.units import format_bytes

COLUMNS = (
    *("critical\npath", "messages", "bytes sent,\nbusiest rank", "bytes sent,\nall ranks"),
    *("reductions,\nbusiest rank", "reductions,\nall ranks"),
)
LEGEND = """
critical path: messages on the longest chain in which each waits for the one before.
busiest rank: the most that one rank sends, or reduces."""


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("count", help="messages, bytes and reductions of each")
    parser.add_argument("names", **NAMES_HELP)
    add_size(parser)
    add_nodes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    status = 0
    if arguments.p is None:
        arguments.p = (arguments.topology and arguments.topology.p) or RANKS
    for primitive, names in by_primitive(full_names(arguments.names or PRIMITIVES)).items():
        title = f"{primitive}, p = {arguments.p}"
        if primitive != "barrier":
            title += f", n = {format_bytes(arguments.n)}"
        wrong: list[str] = []
        new = table(title, "algorithm", *COLUMNS, numbers=True)
        for name in names:
            try:
                row = _counts(primitive, name, arguments)
            except ArgumentError:
                raise
            except FAILURES as error:
                row = ["WRONG"]
                wrong.append(f"WRONG {failed(f'{primitive}.{name}', error)}")
            new.add_row(titled(primitive, name), *map(escape, row))
        console().print(new)
        for line in wrong:
            status = 1
            print(line)
    print(LEGEND)
    return status


def _counts(primitive: str, name: str, arguments: argparse.Namespace) -> list[str]:
    try:
        counts = count(primitive, name, p=arguments.p, n=arguments.n, topology=arguments.topology)
    except RestrictionError as error:
        return [f"n/a: {error}"]
    sent = [format_bytes(nbytes) for nbytes in (counts.bytes_sent_max, counts.bytes_sent)]
    reductions = [str(counts.reductions_max), str(counts.reductions)]
    return [str(counts.critical_path), str(counts.messages), *sent, *reductions]
