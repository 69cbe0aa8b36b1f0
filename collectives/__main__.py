"""`python -m collectives`: list, count, check, prove and choose algorithms. Needs no MPI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import starmap
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
from collectives.compression import loss_table
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

# An algorithm, how often it was run, and what is wrong with it.
Outcome = tuple[str, int, str | None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        _load(*arguments.load)
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
    proving.add_argument(
        "--also", type=int, nargs="*", default=[], metavar="P", help="these numbers of ranks, too"
    )
    proving.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    proving.set_defaults(command=_prove)

    losing = commands.add_parser("error", help="what lossy algorithms lose, and what they save")
    losing.add_argument("primitive", nargs="?", default="allreduce", help="(%(default)s)")
    _size(losing)
    losing.add_argument("--seed", type=int, default=0, help="of the data (%(default)s)")
    losing.set_defaults(command=_error)

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
    order = ["rank order"] if primitive in REDUCTIONS else []
    new = table(primitive, "algorithm", "cost", "restrictions", *order, "reference")
    for name in algorithms_for(primitive):
        algorithm = REGISTRY[primitive][name]
        restrictions = algorithm.restrictions.partition(";")[0]
        kept = ["kept" if algorithm.keeps_order else "not kept"] if order else []
        row = name, algorithm.cost, restrictions, *kept, algorithm.reference
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


def _error(console: Console, arguments: argparse.Namespace) -> int:
    console.print(loss_table(arguments.primitive, arguments.p, arguments.n, arguments.seed))
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
    examined = (_checked(name, arguments.p) for name in _chosen(arguments))
    return _report(console, examined, f"runs, p up to {arguments.p}")


def _checked(name: str, most: int) -> Outcome:
    algorithm, parameters = find(*name.split(".", 1))
    runs = 0
    try:
        for problem in _problems(algorithm, most):
            for rendezvous in (False, True):
                verify(algorithm, problem, rendezvous=rendezvous, parameters=parameters)
                runs += 1
    except CollectiveError as error:
        return name, runs, str(error)
    return name, runs, None


def _prove(console: Console, arguments: argparse.Namespace) -> int:
    ranks = [*range(1, arguments.p + 1), *arguments.also]
    work = [(name, ranks) for name in _chosen(arguments)]
    what = f"proofs, p up to {max(ranks, default=0)}"
    if arguments.jobs == 1:
        return _report(console, starmap(_proved, work), what)
    with ProcessPoolExecutor(arguments.jobs, initializer=_load, initargs=arguments.load) as pool:
        return _report(console, pool.map(_proved, *zip(*work)), what)


def _proved(name: str, ranks: Sequence[int]) -> Outcome:
    algorithm, parameters = find(*name.split(".", 1))
    done = 0
    try:
        for p in filter(partial(_possible, algorithm), ranks):
            for root in {0, p // 2, p - 1} if algorithm.primitive in ROOTED else [0]:
                for segments in _segmentations(algorithm, p):
                    prove(algorithm, p, root=root, **{**segments, **parameters})
                    done += 1
    except CollectiveError as error:
        return name, done, str(error)
    return name, done, None


def _segmentations(algorithm: Algorithm, p: int) -> list[dict[str, int]]:
    """One segment, a few and eight; of many ranks eight, which published schedules needed."""
    if "segments" not in algorithm.parameters:
        return [{}]
    return [{"segments": segments} for segments in ((1, 3, 8) if p <= 33 else (8,))]


def _possible(algorithm: Algorithm, p: int) -> bool:
    """Whether an algorithm takes this number of ranks."""
    try:
        check_restrictions(algorithm, p)
    except RestrictionError:
        return False
    return True


def _load(*paths: str) -> None:
    for path in paths:
        load(path)


def _report(console: Console, examined: Iterable[Outcome], what: str) -> int:
    """Say how it went with each algorithm."""
    wrong = 0
    for name, done, error in examined:
        wrong += error is not None
        line = f"{name}: {done} {what}, all right" if error is None else f"WRONG {error}"
        console.print(escape(line))
    return 1 if wrong else 0


def _chosen(arguments: argparse.Namespace) -> list[str]:
    """The algorithms named, or those of the loaded files, or all."""
    for name in arguments.names:
        primitive, _, spec = name.partition(".")
        find(primitive, spec or None)  # raises if there is none
    return arguments.names or [
        str(algorithm)
        for algorithms in REGISTRY.values()
        for algorithm in algorithms.values()
        if is_loaded(algorithm) or not arguments.load
    ]


def _problems(algorithm: Algorithm, most: int) -> Iterator[Problem]:
    """Every number of ranks, every root, lengths around p, and both kinds of operator.

    Lossy algorithms have floating-point numbers, and no other operator.
    """
    dtype = np.dtype(np.float64 if algorithm.lossy else np.int64)
    for p in filter(partial(_possible, algorithm), range(1, most + 1)):
        for n in sorted({0, 1, p - 1, p, p + 1, 100}):
            for root in range(p) if algorithm.primitive in ROOTED else [0]:
                yield Problem(algorithm.primitive, p, n, root, dtype)
            if algorithm.keeps_order and not algorithm.lossy:
                yield Problem(algorithm.primitive, p, n, p - 1, np.dtype(MATRIX), MATPROD)


if __name__ == "__main__":
    sys.exit(main())
