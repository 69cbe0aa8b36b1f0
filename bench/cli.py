"""The command line."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from collectives.algorithms import PRIMITIVES
from collectives.catalogue import find, load
from collectives.errors import ArgumentError, UnknownAlgorithm
from collectives.units import parse_bytes

from .cells import BUILTIN, DTYPE, EVERY, has
from .program import Parser, Usage, seconds

SIZES = "8,1K,32K,1M"
BUDGET = 45.0

DESCRIPTION = """\
Time every algorithm of every primitive and the MPI's built-in (mpi), side by
side, and check every answer. Start it with mpirun."""

EPILOG = """\
examples:
  mpirun -n 4 python -m collectives.bench
  mpirun -n 4 python -m collectives.bench allreduce bcast --sizes 8,64K,4M
  mpirun -n 4 python -m collectives.bench allreduce --algorithm ring --json run.json
  mpirun -n 4 python -m collectives.bench --load mine.py --algorithm mine

exit status: 0 all answers right, 1 a wrong one or an error, 2 wrong usage"""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    primitives: list[str]
    algorithms: list[str]
    sizes: list[int]
    budget: float
    seed: int
    json: str | None
    trace: str | None


def parser() -> Parser:
    """The options there are."""
    new = Parser("collectives.bench", description=DESCRIPTION, epilog=EPILOG)
    add = new.add_argument
    add("primitives", nargs="*", metavar="PRIMITIVE", help=f"{', '.join(PRIMITIVES)}; default all")
    add(
        "--algorithm",
        "-a",
        action="append",
        default=[],
        metavar="LIST",
        help="names, or name:key=value, or all; default naive, ring, recursive_doubling, tree and "
        "what --load adds. The built-in always runs",
    )
    add(
        "--sizes",
        default=SIZES,
        metavar="LIST",
        help="bytes that one rank contributes, a vector or a block, in multiples of "
        f"{DTYPE.itemsize}; K, M and G are powers of 1024; default {SIZES}",
    )
    add(
        "--budget",
        type=seconds,
        default=BUDGET,
        metavar="SECONDS",
        help=f"for the whole run; default {BUDGET:g}",
    )
    add("--seed", type=int, default=0, help="of the order in which cells run; default 0")
    add("--json", metavar="FILE", help="also write everything, each repetition too, to FILE")
    add("--trace", metavar="DIR", help="record every call there, for collectives explain --from")
    add(
        "--load",
        action="append",
        default=[],
        metavar="FILE",
        help="a Python file whose @algorithm decorators add to the catalogue; may be repeated",
    )
    return new


def parse(arguments: Sequence[str]) -> Options:
    """Read and check the command line.

    Raises
    ------
    Usage
        Says what is wrong with it.
    """
    return checked(parser().parse_args(arguments))


def checked(given: argparse.Namespace) -> Options:
    """The options, if there are such algorithms and sizes; raises Usage if not."""
    _load(given.load)
    primitives = _primitives(given.primitives)
    algorithms = [name for names in given.algorithm for name in split_names(names)]
    _check_algorithms(primitives, algorithms)
    sizes = [parse_size(size) for size in given.sizes.split(",")]
    return Options(
        primitives,
        list(dict.fromkeys(algorithms)),
        sorted(set(sizes)),
        given.budget,
        given.seed,
        given.json,
        given.trace,
    )


def parse_size(text: str) -> int:
    """Bytes of a size such as 8, 1K or 32KiB."""
    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise Usage(str(error)) from None
    if size % DTYPE.itemsize:
        raise Usage(f"a size must be a multiple of {DTYPE.itemsize} bytes ({DTYPE}), got {text}")
    return size


def split_names(text: str) -> list[str]:
    """Split at the commas that do not go on with a parameter, key=value."""
    return [name for name in re.split(r",(?![^,:]*=)", text) if name]


def _load(paths: Sequence[str]) -> None:
    for path in paths:
        if not os.path.isfile(path):
            raise Usage(f"--load needs a Python file with algorithms, got {path}")
        load(path)


def _primitives(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in PRIMITIVES:
            raise Usage(f"a primitive is needed, got {name!r}; choose from {', '.join(PRIMITIVES)}")
    return list(dict.fromkeys(names)) or list(PRIMITIVES)


def _check_algorithms(primitives: Sequence[str], algorithms: Sequence[str]) -> None:
    """Every algorithm must exist for one of the primitives at least."""
    for spec in algorithms:
        if spec in (BUILTIN, EVERY):
            continue
        owners = [primitive for primitive in primitives if has_or_usage(primitive, spec)]
        if not owners:
            try:
                find(primitives[0], spec)
            except UnknownAlgorithm as error:
                message = str(error)
                if len(primitives) > 1:
                    message = f"no primitive has an algorithm {spec.partition(':')[0]!r}"
                raise Usage(message) from None


def has_or_usage(primitive: str, spec: str) -> bool:
    """Whether the primitive has this algorithm; its parameters must be right."""
    try:
        return has(primitive, spec)
    except ArgumentError as error:
        raise Usage(str(error)) from None
