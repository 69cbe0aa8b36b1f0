"""What the reproducible sum costs: beside the usual one, in one run.

    mpirun -n 2 python -m collectives.bench.reproducible

An allreduce by one algorithm with MPI.SUM and with REPRODUCIBLE_SUM, and the sum of all
elements of an array with numpy and an allreduce, and with `reproducible_sum`. They take
turns, and the minimum of each is compared, as in `overhead`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from mpi4py import MPI
from rich.table import Table

import collectives
from collectives import REPRODUCIBLE_SUM
from collectives.errors import WrongResult
from collectives.units import format_bytes

from .overhead import compare, show
from .program import Parser, add_seconds, options, start
from .report import microseconds
from .stop import Stop
from .system import system
from .terminal import past_launcher

SIZES = [8, 512, 2**15, 2**20, 2**23]
SECONDS = 2.0

LEGEND = """\
Minimum of the repetitions, in microseconds until the slowest rank is done. float64, normally
distributed; the size is that of the array on one rank.

elementwise  collectives.allreduce by recursive doubling, with MPI.SUM and REPRODUCIBLE_SUM
to a number  numpy.sum of the array and an allreduce of one element, and reproducible_sum"""


def ways(comm: MPI.Intracomm, size: int) -> list[Callable[[], object]]:
    """The calls to compare, the results of which are close to each other."""
    mine = np.random.default_rng(comm.rank).standard_normal(size // 8)
    usual, ours = np.empty_like(mine), np.empty_like(mine)
    number = partial(to_a_number, comm, mine, np.empty(1), np.empty(1))
    allreduce = partial(collectives.allreduce, comm, mine, algorithm="recursive_doubling")
    allreduce(usual, op=MPI.SUM)
    allreduce(ours, op=REPRODUCIBLE_SUM)
    numbers = number(), collectives.reproducible_sum(comm, mine)
    if not (np.allclose(usual, ours, 1e-9, 1e-9) and np.isclose(*numbers, 1e-9, 1e-9)):
        raise WrongResult(f"reproducible sum: wrong result on rank {comm.rank}")
    return [
        partial(allreduce, usual, op=MPI.SUM),
        partial(allreduce, ours, op=REPRODUCIBLE_SUM),
        number,
        partial(collectives.reproducible_sum, comm, mine, "recursive_doubling"),
    ]


def to_a_number(
    comm: MPI.Intracomm, array: np.ndarray, mine: np.ndarray, total: np.ndarray
) -> float:
    """The usual sum of a distributed array."""
    mine[0] = array.sum()
    collectives.allreduce(comm, mine, total, MPI.SUM, "recursive_doubling")
    return float(total[0])


def main(comm: MPI.Intracomm, seconds: float, stop: Stop) -> None:
    """Measure all sizes; rank 0 prints."""
    where = system(comm)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    titles = ("elementwise\nusual", "\nreproducible", "\nratio")
    for title in ("\nsize", *titles, titles[0].replace("elementwise", "to a number"), *titles[1:]):
        table.add_column(title, justify="right")
    past = past_launcher()
    stop.leave = lambda why: show(where, LEGEND, table, why, past)
    for size in SIZES:
        times = compare(comm, ways(comm, size), seconds).min(axis=0)
        row = [format_bytes(size)]
        for usual, ours in times.reshape(2, 2):
            row += [microseconds(usual), microseconds(ours), f"{ours / usual:.1f}"]
        table.add_row(*row)
    if comm.rank == 0:
        stop.end()
        show(where, LEGEND, table)


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, and do what they say."""
    parser = Parser("collectives.bench.reproducible")
    add_seconds(parser, SECONDS, "for each size")
    main(comm, options(comm, parser, arguments, lambda given: given).seconds, stop)
    return 0


if __name__ == "__main__":
    start(program)
