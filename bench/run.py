"""A run from beginning to end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from mpi4py import MPI

from collectives.problems import Buffers, numbers

from . import cli, output, report
from .calls import call
from .cells import Cell, cells, groups
from .check import Wrong, differs, first_wrong, leaks, merge, one_host, refill, relative_error
from .measure import measure
from .preflight import outlooks
from .results import results
from .schedule import Schedule
from .system import System, system
from .watch import Watch

Calls = dict[int, Callable[[], object]]
Data = dict[tuple[str, int], tuple[MPI.Intracomm, Buffers]]


def main(comm: MPI.Intracomm, arguments: Sequence[str]) -> int:
    """Run the benchmark; collective. Returns the exit status, the same on all ranks."""
    try:
        options, complaint = cli.parse(arguments), ""
    except cli.Usage as error:
        options, complaint = None, str(error)
    complaints = [text for text in comm.allgather(complaint) if text]
    if complaints:
        if comm.rank == 0:
            print(f"{cli.parser().format_usage()}error: {complaints[0]}", file=sys.stderr)
        return 2
    if options is None:
        if comm.rank == 0:
            cli.parser().print_help()
        return 0
    return bench(comm, options, arguments)


def bench(comm: MPI.Intracomm, options: cli.Options, arguments: Sequence[str]) -> int:
    """Simulate, check, measure, check again, report."""
    start, date = time.perf_counter(), datetime.now(timezone.utc)
    todo = cells(options.primitives, options.algorithms, options.sizes)
    where = system(comm)
    with Watch(comm.rank, options.budget, start, _give_up(comm)) as watch:
        watch("simulating")
        ahead = outlooks(comm, todo)
        data = _data(comm, todo)
        calls: Calls = {
            i: call(*data[cell.group], cell) for i, cell in enumerate(todo) if ahead[i].runs
        }
        begun = time.perf_counter()
        wrong, _ = check(comm, todo, calls, data, where, watch)
        reserve = time.perf_counter() - begun
        timed = {i: one for i, one in calls.items() if i not in wrong}
        together = [[i for i in group if i in timed] for group in groups(todo)]
        schedule = Schedule(together, start + options.budget - reserve, options.seed)
        measure(comm, timed, schedule, lambda i: watch(f"timing {todo[i]}"))
        later, errors = check(comm, todo, timed, data, where, watch)
        wrong = later | wrong
    if comm.rank != 0:
        return comm.bcast(None)
    found = results(todo, ahead, schedule.taken(), wrong, errors)
    status = 1 if any(result.wrong for result in found) else 0
    report.show(found, where, time.perf_counter() - start, report.console())
    if options.json:
        told = {
            "argv": list(arguments),
            "seed": options.seed,
            "budget_s": options.budget,
            "start": date.isoformat(),
            "end": datetime.now(timezone.utc).isoformat(),
        }
        output.write(options.json, output.document(told, where, found, status))
    return comm.bcast(status)


def _data(comm: MPI.Intracomm, todo: Sequence[Cell]) -> Data:
    """A communicator and buffers for each group, which all its cells share.

    Same memory, same chances. And the library keeps a limited number of plans
    for a communicator: a group's fit, so that every repetition replays one.
    """
    made: Data = {}
    for cell in todo:
        if cell.group not in made:
            made[cell.group] = comm.Dup(), cell.problem(comm.size).buffers(comm.rank)
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
            one()
            limit = cell.limit(comm.size)
            found = first_wrong(problem, comm.rank, buffers, limit)
            if limit is not None:
                found = differs(comm, buffers) or found
                if not found:
                    errors[i] = relative_error(problem, comm.rank, buffers)
        if found:
            mine[i] = found
    numbers.cache_clear()
    return merge(comm, mine), errors


def _give_up(comm: MPI.Intracomm) -> Callable[[str], None]:
    def give_up(what: str) -> None:
        print(f"collectives.bench: {what} does not end; giving up", file=sys.stderr, flush=True)
        comm.Abort(1)

    return give_up
