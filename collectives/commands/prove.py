"""`prove`: prove algorithms right, whatever the data."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import starmap
from typing import Any

from collectives.algorithms import Algorithm
from collectives.algorithms.language.registry import ROOTED
from collectives.catalogue import find, load
from collectives.commands.options import (
    NAMES_HELP,
    Outcome,
    chosen,
    failed,
    number,
    possible,
    ranks,
    report,
)
from collectives.errors import FAILURES
from collectives.study.symbolic import prove


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("prove", help="prove algorithms right, whatever the data")
    parser.add_argument("names", **NAMES_HELP)
    parser.add_argument("-p", type=ranks, default=33, help="up to so many ranks (%(default)s)")
    parser.add_argument(
        "--also", type=ranks, nargs="*", default=[], metavar="P", help="these numbers of ranks, too"
    )
    parser.add_argument("--jobs", type=number, default=1, help="processes (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    every = [*range(1, arguments.p + 1), *arguments.also]
    work = [(name, every) for name in chosen(arguments)]
    what = f"proofs, p up to {max(every)}"
    if arguments.jobs == 1:
        return report(starmap(_proved, work), what)
    with ProcessPoolExecutor(arguments.jobs, initializer=_begin, initargs=arguments.load) as pool:
        try:
            futures = [pool.submit(_proved, *one) for one in work]
            return report((future.result() for future in futures), what)
        except BaseException:  # such as Ctrl-C: nobody waits for what is left
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _proved(name: str, ranks: Sequence[int]) -> Outcome:
    algorithm, parameters = find(*name.split(".", 1))
    done = 0
    try:
        for p in filter(partial(possible, algorithm), ranks):
            for root in {0, p // 2, p - 1} if algorithm.primitive in ROOTED else [0]:
                for segments in _segmentations(algorithm, p):
                    prove(algorithm, p, root=root, **{**segments, **parameters})
                    done += 1
    except FAILURES as error:
        return name, done, failed(name, error)
    return name, done, None


def _segmentations(algorithm: Algorithm, p: int) -> list[dict[str, int]]:
    """One segment, a few and eight; of many ranks eight, which published schedules needed."""
    if "segments" not in algorithm.parameters:
        return [{}]
    return [{"segments": segments} for segments in ((1, 3, 8) if p <= 33 else (8,))]


def _begin(*paths: str) -> None:
    """What a process of the pool does first; it is ended when the user stops all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for path in paths:
        load(path)
