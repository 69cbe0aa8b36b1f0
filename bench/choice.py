"""How good the choices of `auto` are, on this machine.

::

    mpirun -n 4 python -m collectives.bench.choice [PRIMITIVE ...] [--seconds 1] [--write FILE]

Times all candidates of `auto` side by side, for lengths of the whole vector from 8 B
to 4 MiB, and compares the one that `auto` takes with the fastest: minima over the
repetitions of single calls, each after a barrier, with the same buffers. Answers are
checked. `--write` makes a table of the fastest for these ranks; rows that FILE has for
others stay. COLLECTIVES_TABLE=FILE makes `auto` use it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mpi4py import MPI
from rich.text import Text

from collectives import files
from collectives.algorithms import PRIMITIVES
from collectives.algorithms.language.registry import AUTO
from collectives.catalogue import DEFAULTS
from collectives.choice import ENVIRONMENT, Place, choices, read
from collectives.console import table
from collectives.problems import BLOCKWISE
from collectives.study.pricing import evenly
from collectives.study.tables import candidates
from collectives.study.verify import check
from collectives.units import format_bytes

from .calls import call
from .cells import Cell
from .drawn import drawn
from .measure import minima
from .program import Parser, known_primitives, options, seconds, start
from .report import console, header, microseconds
from .rounds import Layout
from .stop import Stop
from .system import system

SIZES = (8, 512, 4096, 2**15, 2**17, 2**19, 2**20, 2**22)


def prepared(
    comm: MPI.Intracomm, primitive: str, name: str, n: int
) -> tuple[Callable[[], object], Callable[[], None]]:
    """The call of one candidate for about `n` bytes of the whole vector, and what checks it."""
    share = evenly(primitive, comm.size, n) // (comm.size if primitive in BLOCKWISE else 1)
    cell = Cell(primitive, name, share)
    problem = cell.problem(comm.size)
    buffers = problem.buffers(comm.rank)
    return call(comm, buffers, cell), partial(check, str(cell), problem, comm.rank, buffers)


def compare(
    comm: MPI.Intracomm, place: Place, primitive: str, sizes: Sequence[int], seconds: float
) -> tuple[dict[str, list[float]], list[str]]:
    """Microseconds of each candidate for each size, and which `auto` takes."""
    names = candidates(primitive, nodes=place[0] > 1)
    times: dict[str, list[float]] = {name: [] for name in names}
    for size in sizes:
        calls = []
        for name in names:
            ready, checked = prepared(comm, primitive, name, size)
            ready()
            checked()
            calls.append(ready)
        for name, least in zip(names, minima(comm, calls, seconds)):
            times[name].append(1e6 * least)
    chosen = [choices().spec(primitive, comm.size, size, nodes=place[0]) for size in sizes]
    return times, chosen


def ratios(times: dict[str, list[float]], chosen: Sequence[str]) -> list[float]:
    """How many times as long as the fastest an algorithm takes, for each size."""
    fastest = np.min(list(times.values()), axis=0)
    return [times[name][place] / fastest[place] for place, name in enumerate(chosen)]


def defaults(primitive: str, chosen: list[str]) -> list[str]:
    """What the primitive's default takes where `auto` takes `chosen`."""
    name = DEFAULTS[primitive]
    return chosen if name == AUTO else [name] * len(chosen)


def show(primitive: str, times: dict[str, list[float]], chosen: list[str], sizes) -> None:
    """One primitive: `*` is the fastest, `<` is what `auto` takes."""
    titles = [""] if primitive == "barrier" else [format_bytes(size) for size in sizes]
    new = table("", primitive, *titles, numbers=True)
    fastest = np.min(list(times.values()), axis=0)
    for name, row in times.items():
        cells = [
            microseconds(time) + ("*" if time == least else " ") + ("<" if name == pick else " ")
            for time, least, pick in zip(row, fastest, chosen)
        ]
        new.add_row(name, *cells)
    for title, names in (("auto", chosen), ("default", defaults(primitive, chosen))):
        cells = [f"{ratio:.2f}  " for ratio in ratios(times, names)]
        new.add_row(f"{title} / fastest", *cells)
    console().print(new)


def main(comm: MPI.Intracomm, primitives: Sequence[str], seconds: float, path: str | None) -> None:
    """Measure all; rank 0 prints, and writes."""
    where = system(comm)
    layout = Layout(comm)
    place = layout.nodes, layout.ranks
    layout.free()
    first = comm.rank == 0
    if first:
        console().print(Text(f"{header(where)}\n\ntable {choices().name}"), soft_wrap=True)
    ours: list[float] = []
    usual: list[float] = []
    every = {}
    lengths = {name: SIZES if name != "barrier" else SIZES[:1] for name in primitives}
    for primitive, sizes in lengths.items():
        times, chosen = compare(comm, place, primitive, sizes, seconds)
        every[primitive] = times
        ours += ratios(times, chosen)
        usual += ratios(times, defaults(primitive, chosen))
        if first:
            show(primitive, times, chosen, sizes)
    if first:
        for name, found in (("auto", ours), ("default", usual)):
            print(
                f"{name:8}takes {np.exp(np.mean(np.log(found))):.2f} times as long as the fastest "
                f"(geometric mean), {max(found):.2f} at most, "
                f"{np.mean(np.array(found) < 1.25):.0%} below 1.25"
            )
        if path is not None:
            files.write(path, drawn(Path(path), place, every, lengths), "--write")
            print(f"{ENVIRONMENT}={path}")
    sys.stdout.flush()


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, and do what they say."""
    parser = Parser("collectives.bench.choice")
    parser.add_argument("primitives", nargs="*", metavar="PRIMITIVE", help="default all")
    parser.add_argument("--seconds", type=seconds, default=1.0, help="for each size (%(default)s)")
    parser.add_argument("--write", metavar="FILE", help="write a table of the fastest")

    def checked(given: argparse.Namespace) -> argparse.Namespace:
        known_primitives(given)
        if comm.rank == 0 and given.write is not None:
            files.check_target(given.write, "--write")
            if Path(given.write).exists():
                read(given.write)
        return given

    given = options(comm, parser, arguments, checked)
    main(comm, given.primitives or PRIMITIVES, given.seconds, given.write)
    return 0


if __name__ == "__main__":
    start(program)
