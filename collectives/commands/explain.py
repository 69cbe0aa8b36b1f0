"""`explain`: what an algorithm does, round by round."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from typing import Any

from collectives.algorithms import REGISTRY
from collectives.catalogue import algorithms_for, is_loaded
from collectives.commands import recorded
from collectives.commands.options import add_topology, given_machine, one_primitive, ranks
from collectives.commands.page import write_page
from collectives.commands.pictures import add_pictures, asked, write_pictures
from collectives.engines.trace import Trace
from collectives.errors import ArgumentError
from collectives.explain.terminal import WIDTH, Page, View, check_ranks, show
from collectives.files import write
from collectives.study.tracing import trace
from collectives.units import parse_bytes

LEAST_WIDTH = 60
RANKS = 5


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("explain", help="what an algorithm does, round by round")
    parser.add_argument("primitive", nargs="?", help="without one, all that --load adds")
    parser.add_argument("algorithms", nargs="*", help="the primitive's default without one")
    parser.add_argument("-p", type=ranks, help=f"number of ranks ({RANKS}, or the topology's)")
    parser.add_argument("-n", type=parse_bytes, help="bytes of the whole vector (8 a rank)")
    parser.add_argument("--root", type=int, default=0, help="(%(default)s)")
    parser.add_argument(
        "--counts",
        type=_counts,
        metavar="N,N,...",
        help="elements of each block; alltoall: N,N/N,N",
    )
    parser.add_argument("--data", action="store_true", help="integers, not who contributed")
    parser.add_argument("--rank", type=int, help="the life of this rank only")
    parser.add_argument("--round", type=int, help="this moment only")
    parser.add_argument("--all", action="store_true", help="also rounds that do the same again")
    parser.add_argument("--rendezvous", action="store_true", help="every send waits for its recv")
    parser.add_argument(
        "--eager", type=parse_bytes, metavar="BYTES", help="sends of more than that wait"
    )
    parser.add_argument("--json", metavar="FILE", help="write the trace, for programs")
    parser.add_argument("--html", metavar="FILE", help="write a page for a browser, for every p")
    parser.add_argument("--width", type=int, help=f"of lines (the terminal's, {WIDTH} at most)")
    recorded.add(parser)
    add_pictures(parser)
    add_topology(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    drawn = asked(arguments)
    arguments.machine = given_machine(arguments, RANKS)
    _check_topology(arguments)
    if arguments.html is not None and arguments.directory is None:
        if drawn:
            raise ArgumentError("explain: one of --html and a picture, got both; leave out one")
        return write_page(arguments, _chosen(arguments, False))
    view = View(
        _width(arguments.width), arguments.data, arguments.rank, arguments.round, arguments.all
    )
    if arguments.directory is not None:
        return recorded.run(arguments, view, drawn)
    recorded.check(arguments)
    failed = False
    for number, (primitive, spec) in enumerate(_chosen(arguments, drawn)):
        if drawn or arguments.json is None:
            check_ranks(primitive, arguments.p)
        made = _traced(arguments, primitive, spec)
        failed |= made.failure is not None
        if arguments.json is not None:
            write(arguments.json, json.dumps(made.to_json()) + "\n", "--json")
        if drawn:
            write_pictures(arguments, made)
        if drawn or arguments.json is not None:
            continue
        if number:
            print()
        page = Page(made, view, _other(arguments, primitive, spec, made))
        show(page.lines(), view.width)
    return 1 if failed else 0


def _check_topology(arguments: argparse.Namespace) -> None:
    """Raise ArgumentError if something else than a simulated run is to have a topology."""
    for name, value in (("--html", arguments.html), ("--from", arguments.directory)):
        if value is not None and arguments.topology is not None:
            raise ArgumentError(
                f"explain: --topology is for what is simulated now, got {name} as well; "
                "give --alpha and --beta instead"
            )


def _chosen(arguments: argparse.Namespace, drawn: bool) -> list[tuple[str, str | None]]:
    """Primitives and algorithms: those named, or those of the loaded files."""
    if arguments.primitive is not None:
        primitive, specs = one_primitive(arguments.primitive, arguments.algorithms)
        algorithms_for(primitive)  # raises if there is no such primitive
        chosen: list[tuple[str, str | None]] = [(primitive, spec) for spec in specs]
        chosen = chosen or [(primitive, None)]
    else:
        chosen = [
            (primitive, name)
            for primitive, names in REGISTRY.items()
            for name, algorithm in names.items()
            if is_loaded(algorithm)
        ]
    if not chosen:
        raise ArgumentError(
            "explain: a primitive or a file is needed, got none; name one, as allreduce"
        )
    if len(chosen) > 1 and (drawn or arguments.json is not None):
        what = "a picture" if drawn else "--json"
        raise ArgumentError(f"explain: {what} needs one algorithm, got {len(chosen)}; name one")
    return chosen


def _traced(
    arguments: argparse.Namespace, primitive: str, spec: str | None, **changes: Any
) -> Trace:
    options = {
        "p": arguments.p,
        "n": arguments.n,
        "root": arguments.root,
        "counts": arguments.counts,
        "topology": arguments.machine,
        "rendezvous": arguments.rendezvous,
        "eager": arguments.eager,
    }
    return trace(primitive, spec, **{**options, **changes})


def _other(
    arguments: argparse.Namespace, primitive: str, spec: str | None, made: Trace
) -> Trace | None:
    """The same with the other kind of messages, where that shows why it ended, or did not."""
    if made.setting.eager is None:
        return None
    if made.failure is None:
        return _traced(arguments, primitive, spec, rendezvous=True, eager=None)
    if made.failure.kind == "deadlock":
        return _traced(arguments, primitive, spec, rendezvous=False, eager=None)
    return None


def _width(given: int | None) -> int:
    if given is None:
        return (
            min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
            if sys.stdout.isatty()
            else WIDTH
        )
    if given < LEAST_WIDTH:
        raise ArgumentError(f"explain: --width must be {LEAST_WIDTH} or more, got {given}")
    return given


def _counts(text: str) -> Any:
    """`3,0,5`, or rows of them with a stroke between."""
    rows = [[int(count) for count in row.split(",")] for row in text.split("/")]
    return rows[0] if len(rows) == 1 else rows
