"""Measure one configuration: under mpirun, in a box or on one node.

::

    mpirun -n 2 python -m collectives.bench.model.measured FILE [SECONDS]

Takes the machine's parameters, what a plain socket reaches, and the least time of every
leading algorithm for every length, and writes them to FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from mpi4py import MPI

from collectives.bench.choice import prepared
from collectives.bench.measure import minima
from collectives.bench.parameters import measured, toml
from collectives.bench.program import Parser, options, seconds, start
from collectives.bench.rounds import Layout, nothing
from collectives.bench.sockets import payload
from collectives.bench.stop import Stop
from collectives.bench.system import system

from .runs import PRIMITIVES_WITH_DATA, SIZES, Record, rows

SECONDS = 0.3  # for each length of each primitive, where that allows more than `LEAST`
LEAST = 2  # repetitions beyond the warm-up
PARAMETERS = 6.0  # seconds for the machine's parameters


def times(comm: MPI.Intracomm, nodes: bool, budget: float) -> dict:
    """Microseconds by primitive, algorithm and bytes; collective, the same on all ranks."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for primitive in PRIMITIVES_WITH_DATA:
        if comm.rank == 0:
            print(f"{time.strftime('%X')} {primitive}", flush=True)
        names = rows(primitive, nodes)
        found[primitive] = {name: {} for name in names}
        for n in SIZES:
            own = MPI.Intracomm(comm.Dup())  # whose plans are freed with it
            calls = [prepared(own, primitive, name, n) for name in names]
            for name, least in zip(names, minima(comm, calls, budget, LEAST)):
                found[primitive][name][str(n)] = round(1e6 * least, 1)
            own.Free()
    return found


def record(comm: MPI.Intracomm, budget: float) -> Record:
    """All there is to know of this configuration; collective."""
    where = system(comm)
    layout = Layout(comm)
    machine = measured(comm, layout, PARAMETERS)
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
        times=times(comm, layout.nodes > 1 and layout.ranks > 1, budget),
    )
    layout.free()
    return found


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, measure, and write."""
    parser = Parser("collectives.bench.model.measured")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("seconds", nargs="?", type=seconds, default=SECONDS)

    def checked(given: argparse.Namespace) -> argparse.Namespace:
        return given

    given = options(comm, parser, arguments, checked)
    found = record(comm, given.seconds)
    if comm.rank == 0:
        found.write(given.file)
    return 0


if __name__ == "__main__":
    start(program)
