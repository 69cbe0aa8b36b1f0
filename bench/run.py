"""A run from beginning to end."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from mpi4py import MPI

from collectives.errors import ArgumentError, CollectiveError
from collectives.files import check_target
from collectives.mpi.comm import Comm
from collectives.problems import Buffers, numbers

from . import cli
from .calls import call
from .cells import Cell, cells, fits, groups
from .check import Wrong, differs, first_wrong, leaks, merge, one_host, refill, relative_error
from .measure import measure
from .outcome import Outcome
from .preflight import outlooks, reason
from .program import options
from .rehearsal import rehearsed
from .schedule import Schedule
from .stop import Stop
from .system import System, nodes, system
from .watch import STALLED, Watch

Calls = dict[int, Callable[[], object]]
Data = dict[tuple[str, int], tuple[MPI.Intracomm, Buffers]]


def main(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Run the benchmark; collective. Returns the exit status, the same on all ranks."""

    def checked(given: argparse.Namespace) -> cli.Options:
        if comm.rank == 0 and given.json is not None:
            check_target(given.json, "--json")
        return cli.checked(given)

    return bench(comm, options(comm, cli.parser(), arguments, checked), arguments, stop)


def bench(comm: MPI.Intracomm, asked: cli.Options, arguments: Sequence[str], stop: Stop) -> int:
    """Simulate, check, measure, check again, report."""
    start = time.perf_counter()
    todo = cells(asked.primitives, asked.algorithms, asked.sizes)
    where, machine = system(comm), nodes(comm)
    try:
        fits(todo, comm.size, where.sharing)
    except ArgumentError as error:  # on all ranks alike
        if comm.rank == 0:
            print(f"collectives.bench: {error}", file=sys.stderr)
        return 2
    known = Outcome(todo, where, machine, asked, list(arguments), start)
    stop.leave = known.leave

    def give_up(what: str) -> None:
        stop.now(f"because {what} does not end", 1)

    with Watch(comm.rank, asked.budget, start, give_up) as watch:
        watch("simulating")
        # At most half of the time, and less than what the watch takes for a hang.
        ahead = outlooks(comm, todo, machine, min(asked.budget / 2, STALLED - 20))
        data = _data(comm, todo, asked.trace)
        buffers = {group: given for group, (_, given) in data.items()}
        known.ahead = ahead = rehearsed(comm, todo, ahead, machine, buffers)
        calls: Calls = {
            i: call(*data[cell.group], cell) for i, cell in enumerate(todo) if ahead[i].runs
        }
        begun = time.perf_counter()
        known.wrong, _ = check(comm, todo, calls, data, where, watch)
        reserve = time.perf_counter() - begun
        timed = {i: one for i, one in calls.items() if i not in known.wrong}
        together = [[i for i in group if i in timed] for group in groups(todo)]
        known.schedule = Schedule(together, start + asked.budget - reserve, asked.seed)
        measure(comm, timed, known.schedule, lambda i: watch(f"timing {todo[i]}"), stop)
        later, known.errors = check(comm, todo, timed, data, where, watch)
        known.wrong = later | known.wrong
    if comm.rank != 0:
        return comm.bcast(None)
    stop.end()
    known.explain()
    return comm.bcast(known.leave())


def _data(comm: MPI.Intracomm, todo: Sequence[Cell], trace: str | None) -> Data:
    """A communicator and buffers for each group, which all its cells share.

    Same memory, same chances. And the library keeps a limited number of plans
    for a communicator: a group's fit, so that every repetition replays one.
    Where calls are recorded, that belongs to the communicator, too.
    """
    made: Data = {}
    for cell in todo:
        if cell.group not in made:
            own = comm.Dup()
            if trace is not None:
                Comm(own, trace=trace)
            made[cell.group] = own, cell.problem(comm.size).buffers(comm.rank)
            numbers.cache_clear()
    return made


def check(
    comm: MPI.Intracomm,
    todo: Sequence[Cell],
    calls: Calls,
    data: Data,
    where: System,
    watch: Callable[[str], None],
) -> tuple[dict[int, Wrong], dict[int, float]]:
    """Make every call once and look at the answers of all ranks.

    Returns
    -------
    dict, dict
        By cell, what is wrong, and the relative error of a lossy algorithm.
    """
    mine: dict[int, Wrong] = {}
    errors: dict[int, float] = {}
    for i, one in calls.items():
        cell = todo[i]
        watch(f"checking {cell}")
        if cell.primitive == "barrier":
            found = leaks(comm, one) if one_host(where.hosts) else None
        else:
            buffers = data[cell.group][1]
            problem = cell.problem(comm.size)
            refill(problem, comm.rank, buffers)
            failed = _failure(one, cell)
            limit = cell.limit(comm.size)
            found = first_wrong(problem, comm.rank, buffers, limit)
            if limit is not None:
                found = differs(comm, buffers) or found
                if not found:
                    errors[i] = relative_error(problem, comm.rank, buffers)
            found = failed or found
        if found:
            mine[i] = found
    numbers.cache_clear()
    return merge(comm, mine), errors


def _failure(one: Callable[[], object], cell: Cell) -> Wrong | None:
    """Make a call; what it raises, on all ranks alike, is what is wrong with the cell."""
    try:
        one()
    except CollectiveError as error:
        return Wrong(reason(error, cell))
    return None
