"""`python -m collectives`: list, count, check, prove and choose algorithms. Needs no MPI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from collectives.algorithms import PRIMITIVES, REGISTRY, Algorithm
from collectives.algorithms.registry import REDUCTIONS, ROOTED
from collectives.catalogue import algorithms_for, check_restrictions, find, is_loaded, load
from collectives.choice import ENVIRONMENT, choices, parse
from collectives.console import console as terminal
from collectives.console import table
from collectives.engines.simulator import Clock
from collectives.errors import CollectiveError, RestrictionError
from collectives.operators import MATPROD, MATRIX
from collectives.optimality import markdown, optimality_table
from collectives.pricing import DECLARED_CLOCK, RANKS, table_text
from collectives.problems import Problem
from collectives.simulation import count
from collectives.symbolic import prove
from collectives.units import format_bytes, parse_bytes
from collectives.verify import verify
from collectives.why import table_of, why


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        for path in arguments.load:
            load(path)
        return arguments.command(terminal(), arguments)
    except (CollectiveError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m collectives", allow_abbrev=False, description=__doc__
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    primitives: dict[str, Any] = {"nargs": "*", "metavar": "primitive", "help": "all without one"}

    names: dict[str, Any] = {
        "nargs": "*",
        "metavar": "primitive.algorithm",
        "help": "without one all, or all that --load adds",
    }

    listing = commands.add_parser("list", help="what there is, what it costs and who invented it")
    listing.add_argument("primitives", **primitives)
    listing.add_argument("--bounds", action="store_true", help="counted, beside the lower bounds")
    listing.add_argument(
        "--markdown", action="store_true", help="with --bounds: the whole catalogue, as a page"
    )
    _size(listing)
    listing.set_defaults(command=_list)

    counting = commands.add_parser("count", help="rounds, messages, bytes and operator uses")
    counting.add_argument("primitives", **primitives)
    _size(counting)
    counting.set_defaults(command=_count)

    checking = commands.add_parser("check", help="run algorithms in the simulator, for many p")
    checking.add_argument("names", **names)
    checking.add_argument("-p", type=int, default=17, help="up to so many ranks (%(default)s)")
    checking.set_defaults(command=_check)

    proving = commands.add_parser("prove", help="prove algorithms right, whatever the data")
    proving.add_argument("names", **names)
    proving.add_argument("-p", type=int, default=33, help="up to so many ranks (%(default)s)")
    proving.set_defaults(command=_prove)

    reasons = commands.add_parser("why", help="what algorithm='auto' takes, and why")
    reasons.add_argument("primitive")
    _size(reasons)
    _clock(reasons)
    reasons.add_argument(
        "--in-order", action="store_true", help="for an operator that does not commute"
    )
    reasons.set_defaults(command=_why)

    choosing = commands.add_parser("table", help="what algorithm='auto' takes, for all lengths")
    choosing.add_argument("primitives", **primitives)
    choosing.add_argument(
        "-p", type=_ranks, action="append", default=[], help="number of ranks; may be repeated"
    )
    _clock(choosing)
    choosing.add_argument(
        "--write",
        metavar="FILE",
        help="make a table for the clock given, or that of the declared table, and write it; "
        f"{ENVIRONMENT}=FILE makes auto use it",
    )
    choosing.set_defaults(command=_choices)

    for command in commands.choices.values():
        command.add_argument(
            "--load", action="append", default=[], metavar="FILE", help="a file with algorithms"
        )
    return parser


def _size(command: argparse.ArgumentParser) -> None:
    command.add_argument("-p", type=_ranks, default=8, help="number of ranks (%(default)s)")
    command.add_argument(
        "-n", type=parse_bytes, default="1M", help="bytes of the whole vector (%(default)s)"
    )


def _clock(command: argparse.ArgumentParser) -> None:
    for name, what in (
        ("alpha", "to start a message"),
        ("beta", "a byte on the wire"),
        ("gamma", "a byte reduced"),
    ):
        command.add_argument(
            f"--{name}",
            type=float,
            metavar="SECONDS",
            help=f"seconds {what}, as collectives.bench.parameters measures",
        )


def _given_clock(arguments: argparse.Namespace) -> Clock | None:
    """The clock of the command line; what it leaves out is as in the declared table."""
    given = {name: getattr(arguments, name) for name in ("alpha", "beta", "gamma")}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(DECLARED_CLOCK, **given) if given else None


def _ranks(text: str) -> int:
    """argparse says what is wrong when this raises ValueError."""
    p = int(text)
    if p < 1:
        raise ValueError
    return p


def _list(console: Console, arguments: argparse.Namespace) -> int:
    if arguments.markdown:
        print(markdown(), end="")
        return 0
    for primitive in arguments.primitives or PRIMITIVES:
        if arguments.bounds:
            console.print(optimality_table(primitive, arguments.p, arguments.n))
        else:
            console.print(_references(primitive))
    return 0


def _references(primitive: str) -> Table:
    new = table(primitive, "algorithm", "cost", "restrictions", "reference")
    for name in algorithms_for(primitive):
        algorithm = REGISTRY[primitive][name]
        restrictions = algorithm.restrictions.partition(";")[0]
        new.add_row(*map(escape, (name, algorithm.cost, restrictions, algorithm.reference)))
    return new


def _count(console: Console, arguments: argparse.Namespace) -> int:
    columns = "rounds", "messages", "bytes sent, busiest rank", "of all", "operator uses", "of all"
    for primitive in arguments.primitives or PRIMITIVES:
        title = f"{primitive}, p = {arguments.p}"
        if primitive != "barrier":
            title += f", n = {format_bytes(arguments.n)}"
        new = table(title, "algorithm", *columns, numbers=True)
        for name in algorithms_for(primitive):
            new.add_row(name, *_counts(primitive, name, arguments))
        console.print(new)
    return 0


def _counts(primitive: str, name: str, arguments: argparse.Namespace) -> list[str]:
    try:
        counts = count(primitive, name, p=arguments.p, n=arguments.n)
    except RestrictionError as error:
        return [f"n/a: {error}"]
    sent = [format_bytes(nbytes) for nbytes in (counts.bytes_sent_max, counts.bytes_sent)]
    reductions = [str(counts.reductions_max), str(counts.reductions)]
    return [str(counts.rounds), str(counts.messages), *sent, *reductions]


def _why(console: Console, arguments: argparse.Namespace) -> int:
    clock, commutative = _given_clock(arguments), not arguments.in_order
    text, prices = why(arguments.primitive, arguments.p, arguments.n, clock, commutative)
    print(text)
    console.print(prices)
    return 0


def _choices(console: Console, arguments: argparse.Namespace) -> int:
    clock, primitives = _given_clock(arguments), arguments.primitives or PRIMITIVES
    for primitive in primitives:
        algorithms_for(primitive)  # raises if there is no such primitive
    found = choices()
    if clock is not None or arguments.write:
        text = table_text(clock or DECLARED_CLOCK, arguments.p or RANKS, primitives)
        if arguments.write:
            Path(arguments.write).write_text(text, encoding="utf-8")
            print(f"{ENVIRONMENT}={arguments.write}")
            return 0
        found = parse("for the clock given", text)
    for primitive in primitives:
        console.print(table_of(primitive, found, arguments.p))
    return 0


def _check(console: Console, arguments: argparse.Namespace) -> int:
    def check(algorithm: Algorithm) -> int:
        runs = 0
        for problem in _problems(algorithm, arguments.p):
            for rendezvous in (False, True):
                verify(algorithm, problem, rendezvous=rendezvous)
                runs += 1
        return runs

    return _each(console, arguments, check, "runs")


def _prove(console: Console, arguments: argparse.Namespace) -> int:
    def proofs(algorithm: Algorithm) -> int:
        done = 0
        for p in range(1, arguments.p + 1):
            try:
                check_restrictions(algorithm, p)
            except RestrictionError:
                continue
            for root in {0, p // 2, p - 1} if algorithm.primitive in ROOTED else [0]:
                prove(algorithm, p, root=root)
                done += 1
        return done

    return _each(console, arguments, proofs, "proofs")


def _each(
    console: Console,
    arguments: argparse.Namespace,
    examine: Callable[[Algorithm], int],
    what: str,
) -> int:
    """Examine every algorithm that was asked for, and say how it went."""
    wrong = 0
    for algorithm in _chosen(arguments):
        try:
            done = examine(algorithm)
        except CollectiveError as error:
            wrong += 1
            console.print(escape(f"WRONG {error}"))
        else:
            console.print(f"{algorithm}: {done} {what}, p up to {arguments.p}, all right")
    return 1 if wrong else 0


def _chosen(arguments: argparse.Namespace) -> Iterator[Algorithm]:
    """The algorithms named, or those of the loaded files, or all."""
    for name in arguments.names:
        primitive, _, spec = name.partition(".")
        yield find(primitive, spec or None)[0]
    if arguments.names:
        return
    for names in REGISTRY.values():
        for algorithm in names.values():
            if is_loaded(algorithm) or not arguments.load:
                yield algorithm


def _problems(algorithm: Algorithm, most: int) -> Iterator[Problem]:
    """Every number of ranks, every root, lengths around p, and both kinds of operator."""
    for p in range(1, most + 1):
        try:
            check_restrictions(algorithm, p)
        except RestrictionError:
            continue
        for n in sorted({0, 1, p - 1, p, p + 1, 100}):
            for root in range(p) if algorithm.primitive in ROOTED else [0]:
                yield Problem(algorithm.primitive, p, n, root)
            if algorithm.primitive in REDUCTIONS and not algorithm.commutative:
                yield Problem(algorithm.primitive, p, n, p - 1, np.dtype(MATRIX), MATPROD)


if __name__ == "__main__":
    sys.exit(main())
