"""Measure one configuration: under mpirun, in a box or on one node.

::

    mpirun -n 2 python -m collectives.bench.model.measured FILE [SECONDS]

Takes the machine's parameters and what a plain socket reaches, makes a table of choices from
the parameters, and takes the least time of every leading algorithm for every length, and of
`auto` with the declared table and with that one. All is written to FILE and beside it. It ends
within SECONDS, and leaves out what it does not reach until then.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from mpi4py import MPI

from collectives.algorithms.language.registry import AUTO
from collectives.bench.cells import BUILTIN
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
from .made import in_force, in_memory, made
from .runs import MADE, PRIMITIVES_WITH_DATA, SIZES, Record, rows

SECONDS = 100.0
PARAMETERS = 0.06  # of that, for the machine's parameters
PREPARED = 0.004  # seconds of a rank to prepare a call, where ranks share two cores
CROWD = 7  # ranks that make calls take as long again as their vectors over a link, about
MEMORY = 1e9  # bytes a second, or more, within a node
CHECKED = 2**18  # bytes of vectors whose answers are checked, which takes long for longer ones


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes
    ----------
    hosts, ranks : int
        And ranks on each.
    sizes : sequence of int
        Bytes of the whole vector.
    only : sequence of str
        Primitives.
    rate : float
        Bytes a second of a link between hosts.
    burst : int
        Bytes that it passes at once after a pause; all sleep before each call until they are
        saved up.
    table : str
        The path of the table that was made here.
    """

    hosts: int
    ranks: int
    sizes: Sequence[int]
    only: Sequence[str]
    rate: float
    burst: int
    table: str

    @property
    def pause(self) -> float:
        """Seconds in which a burst is saved up."""
        return 2 * self.burst / self.rate

    def pass_time(self, primitive: str, n: int) -> float:
        """Seconds that it takes to prepare all calls of a group and to call each once, about."""
        number = len(rows(primitive, self.hosts, self.ranks))
        p = self.hosts * self.ranks
        return number * (PREPARED * p + (1 + p / CROWD) * n / self.rate)


def times(comm: MPI.Intracomm, plan: Plan, limit: float) -> dict:
    """Microseconds by primitive, algorithm and bytes; collective, the same on all ranks."""
    found: dict[str, dict[str, dict[str, float]]] = {
        primitive: {name: {} for name in rows(primitive, plan.hosts, plan.ranks)}
        for primitive in plan.only
    }
    groups = [(primitive, n) for n in plan.sizes for primitive in plan.only]
    budget = Budget(limit, {group: plan.pass_time(*group) for group in groups})  # rank 0's counts
    for primitive, n in groups:
        if comm.bcast(comm.rank == 0 and budget.begin()):
            names = list(found[primitive])
            for name, least in zip(names, _group(comm, primitive, names, n, plan, budget)):
                found[primitive][name][str(n)] = round(1e6 * least, 1)
        if primitive == plan.only[-1]:
            reached = sum(str(n) in found[one][BUILTIN] for one in plan.only)
            here = f"{format_bytes(n)}: {reached} of {len(plan.only)} primitives"
            _say(comm, f"{here}, {budget.left:.0f} s left")
    return found


def _group(
    comm: MPI.Intracomm, primitive: str, names: Iterable[str], n: int, plan: Plan, budget: Budget
) -> list[float]:
    """The least time of each algorithm for one length."""
    # Whose plans are freed with them. Calls of one shape on one communicator share a plan.
    own, other = MPI.Intracomm(comm.Dup()), MPI.Intracomm(comm.Dup())
    ready = [
        prepared(other, primitive, AUTO, n) if name == MADE else prepared(own, primitive, name, n)
        for name in names
    ]
    calls = [
        _first_with(plan.table, call) if name == MADE else call
        for name, (call, _) in zip(names, ready)
    ]
    least = minima_while(comm, calls, budget.more, plan.pause)
    if n <= CHECKED:
        for _, check in ready:
            check()
    own.Free()
    other.Free()
    budget.end(primitive)
    return least


def _first_with(table: str, call: Callable[[], object]) -> Callable[[], object]:
    """A call that has this table in force the first time, when its algorithm is decided."""
    begun = False

    def run() -> object:
        nonlocal begun
        if begun:
            return call()
        begun = True
        with in_force(table):
            return call()

    return run


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
    parameters = toml(machine, where)
    _say(comm, "a table of choices from them")
    table = made(comm, parameters, only, max(sizes))
    rate, burst = (box.get("rate", 0) / 8 or MEMORY), box.get("burst", 0)
    plan = Plan(layout.nodes, layout.ranks, sizes, only, rate, burst, in_memory(comm, table))
    found = Record(
        hosts=layout.nodes,
        ranks=layout.ranks,
        date=date.today().isoformat(),
        mpi=where.mpi,
        over=os.environ.get("MPIR_CVAR_CH4_NETMOD", "").upper(),
        cores=where.cores,
        load=where.load,
        rate=box.get("rate", 0),
        burst=burst,
        empty=round(1e6 * minima(comm, [nothing], 0.5, pause=plan.pause)[0], 1),
        payload=reached,
        machine=parameters,
        times=times(comm, plan, limit - (time.monotonic() - begin)),
        table=table,
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
