"""Measure one configuration: under mpirun, in a box or on one node.

::

    mpirun -n 2 python -m collectives.bench.model.measured FILE [SECONDS]

Takes the machine's parameters, what a plain socket reaches, and the least time of every
leading algorithm for every length, and writes them to FILE. It ends within SECONDS, and
leaves out what it does not reach until then.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from mpi4py import MPI

from collectives.bench.choice import prepared
from collectives.bench.measure import minima, minima_while
from collectives.bench.parameters import measured, toml
from collectives.bench.program import Parser, options, seconds, sizes, start
from collectives.bench.rounds import Layout, nothing
from collectives.bench.sockets import payload
from collectives.bench.stop import Stop
from collectives.bench.system import system
from collectives.units import format_bytes

from .budget import Budget
from .runs import PRIMITIVES_WITH_DATA, SIZES, Record, rows

SECONDS = 100.0
PARAMETERS = 0.06  # of that, for the machine's parameters


def times(
    comm: MPI.Intracomm, nodes: bool, limit: float, sizes: Sequence[int], only: Sequence[str]
) -> dict:
    """Microseconds by primitive, algorithm and bytes; collective, the same on all ranks."""
    found: dict[str, dict[str, dict[str, float]]]
    found = {primitive: {name: {} for name in rows(primitive, nodes)} for primitive in only}
    groups = [(primitive, n) for n in sizes for primitive in only]
    budget = Budget(limit, groups)  # only that of rank 0 is asked
    for primitive, n in groups:
        if not comm.bcast(comm.rank == 0 and budget.begin()):
            _say(comm, f"no time for {primitive} of {format_bytes(n)}")
            continue
        names = list(found[primitive])
        for name, least in zip(names, _group(comm, primitive, names, n, budget)):
            found[primitive][name][str(n)] = round(1e6 * least, 1)
        if primitive == only[-1]:
            _say(comm, f"{format_bytes(n)} done, {budget.left:.0f} s left")
    return found


def _group(
    comm: MPI.Intracomm, primitive: str, names: Iterable[str], n: int, budget: Budget
) -> list[float]:
    """The least time of each algorithm for one length."""
    own = MPI.Intracomm(comm.Dup())  # whose plans are freed with it
    calls = [prepared(own, primitive, name, n) for name in names]
    least = minima_while(comm, calls, budget.more)
    own.Free()
    budget.end(primitive)
    return least


def _say(comm: MPI.Intracomm, words: str) -> None:
    if comm.rank == 0:
        print(f"{time.strftime('%X')} {words}", flush=True)


def record(
    comm: MPI.Intracomm,
    limit: float,
    sizes: Sequence[int] = SIZES,
    only: Sequence[str] = PRIMITIVES_WITH_DATA,
) -> Record:
    """All there is to know of this configuration, within so many seconds; collective."""
    begin = time.monotonic()
    where = system(comm)
    layout = Layout(comm)
    _say(comm, "parameters")
    machine = measured(comm, layout, PARAMETERS * limit)
    box = json.loads(os.environ.get("COLLECTIVES_BOX", "{}"))
    reached = asdict(payload(comm, 1.0)) if layout.nodes > 1 else {}
    empty = minima(comm, [nothing], 0.5)[0]
    found = Record(
        hosts=layout.nodes,
        ranks=layout.ranks,
        date=date.today().isoformat(),
        mpi=where.mpi,
        over=os.environ.get("MPIR_CVAR_CH4_NETMOD", "").upper(),
        cores=where.cores,
        load=where.load,
        rate=box.get("rate", 0),
        burst=box.get("burst", 0),
        empty=round(1e6 * empty, 1),
        payload=reached,
        machine=toml(machine, where),
        times=times(
            comm,
            layout.nodes > 1 and layout.ranks > 1,
            limit - (time.monotonic() - begin),
            sizes,
            only,
        ),
    )
    layout.free()
    return found


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, measure, and write."""
    parser = Parser("collectives.bench.model.measured")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("seconds", nargs="?", type=seconds, default=SECONDS, help="%(default)s")
    parser.add_argument("--sizes", type=sizes, default=SIZES, help="lengths, as 1K,64K")
    parser.add_argument("--only", nargs="+", default=PRIMITIVES_WITH_DATA, metavar="PRIMITIVE")

    def checked(given: argparse.Namespace) -> argparse.Namespace:
        return given

    given = options(comm, parser, arguments, checked)
    found = record(comm, given.seconds, given.sizes, given.only)
    if comm.rank == 0:
        found.write(given.file)
    return 0


if __name__ == "__main__":
    start(program)
