"""`check`: run algorithms in the simulator, for many p."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from collectives.algorithms import Algorithm
from collectives.algorithms.language.registry import ROOTED
from collectives.catalogue import find
from collectives.commands.options import (
    NAMES_HELP,
    Outcome,
    chosen,
    failed,
    possible,
    ranks,
    report,
)
from collectives.errors import FAILURES
from collectives.operators.operator import MATPROD, MATRIX
from collectives.problems import Problem
from collectives.study.verify import verify


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("check", help="run algorithms in the simulator, for many p")
    parser.add_argument("names", **NAMES_HELP)
    parser.add_argument("-p", type=ranks, default=17, help="up to so many ranks (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    examined = (_checked(name, arguments.p) for name in chosen(arguments))
    return report(examined, f"runs, p up to {arguments.p}")


def _checked(name: str, most: int) -> Outcome:
    algorithm, parameters = find(*name.split(".", 1))
    runs = 0
    try:
        for problem in _problems(algorithm, most):
            for rendezvous in (False, True):
                verify(algorithm, problem, rendezvous=rendezvous, parameters=parameters)
                runs += 1
    except FAILURES as error:
        return name, runs, failed(name, error)
    return name, runs, None


def _problems(algorithm: Algorithm, most: int) -> Iterator[Problem]:
    """Every number of ranks, every root, lengths around p, and both kinds of operator.

    Lossy algorithms have floating-point numbers, and no other operator.
    """
    dtype = np.dtype(np.float64 if algorithm.lossy else np.int64)
    for p in filter(partial(possible, algorithm), range(1, most + 1)):
        for n in sorted({0, 1, p - 1, p, p + 1, 100}):
            for root in range(p) if algorithm.primitive in ROOTED else [0]:
                yield Problem(algorithm.primitive, p, n, root, dtype)
            if algorithm.keeps_order and not algorithm.lossy:
                yield Problem(algorithm.primitive, p, n, p - 1, np.dtype(MATRIX), MATPROD)
