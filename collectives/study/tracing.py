"""Trace any algorithm, for any number of ranks, without MPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import GROUP, Algorithm
from collectives.catalogue import check_parameters, find, mixes
from collectives.engines.driver import Process
from collectives.engines.trace import Cost, Trace
from collectives.errors import ArgumentError
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.operators.operator import SUM, Operator
from collectives.problems import BLOCKWISE, Problem
from collectives.study.assembly import Assembly, setting_of
from collectives.study.bounds import LATENCY, bounds
from collectives.study.cost import predicted_time
from collectives.study.simulation import BYTES_OF_FLOATS, counted, given_machine, travelling
from collectives.study.tracer import Tracer
from collectives.study.verify import settle, simulator

# More messages than these are not traced: each takes about a kilobyte.
MOST_MESSAGES = 4_000_000

# Bytes of a block, unless the caller says how long the vector is.
BLOCK = 8


def trace(
    primitive: str,
    algorithm: str | None = None,
    *,
    p: int,
    n: int | None = None,
    dtype: Any = None,
    root: int = 0,
    counts: Any = None,
    operator: Operator = SUM,
    clock: Clock | None = None,
    topology: Any = None,
    rendezvous: bool = False,
    eager: int | None = None,
    late: Mapping[int, float] | None = None,
    **parameters: Any,
) -> Trace:
    """Run an algorithm in the simulator, and note all that every rank does and holds.

    No data is touched, so a gigabyte costs no more than a byte. A wrong algorithm is
    traced up to the point where it goes wrong: see `Trace.failure`.

    Parameters
    ----------
    primitive, algorithm : str
        As in `collectives.find`.
    p : int
        Number of ranks.
    n : int, optional
        Elements of the whole vector; 8 bytes for each rank by default.
    dtype, root, counts, operator, clock, topology, rendezvous
        As in `collectives.simulate`.
    eager : int, optional
        Bytes up to which a message leaves at once; longer ones wait for their recv.
    late : mapping, optional
        Seconds after which some ranks begin, by rank.
    **parameters
        Of the algorithm.

    Returns
    -------
    Trace

    Raises
    ------
    ArgumentError
        There would be more than 4 million messages, or an argument is out of its range.
    RestrictionError
        The algorithm declares that it cannot do this.

    Examples
    --------
    >>> ring = trace("allreduce", "ring", p=3)
    >>> ring.contributions(ring.held(rank=1, number=3)[2][0])
    (2, 0, 1)
    """
    asked, given = find(primitive, algorithm)
    given.update(parameters)
    check_parameters(asked, given)
    lossy = asked.lossy and dtype is None
    dtype = np.dtype(np.float32 if lossy else np.uint8 if dtype is None else dtype)
    if n is None:
        n = -(-BLOCK * p // dtype.itemsize)
    elif lossy:
        n = -(-n // BYTES_OF_FLOATS.itemsize)
    _check(primitive, p, root, late)
    _check_counts(primitive, p, counts)
    dtype = travelling("trace", operator, dtype)
    problem = Problem(primitive, p, n, root, dtype, operator, counts)
    machine = given_machine(str(asked), clock, topology)
    chosen, settled = settle(asked, problem, given, machine)
    _check_number(chosen, problem, settled)
    options = {"machine": machine, "rendezvous": rendezvous, "eager": eager, "late": late}
    tracer = Tracer(chosen, problem, settled, **options)
    error = tracer.run_to_failure()
    ordered = chosen.keeps_order is not False and not mixes(chosen, settled.get(GROUP))
    assembly = Assembly(tracer, chosen, ordered, error)
    return assembly.trace(
        setting_of(tracer, chosen, settled), _cost(tracer, chosen, settled, error)
    )


def _check(primitive: str, p: int, root: int, late: Mapping[int, float] | None) -> None:
    if p < 1:
        raise ArgumentError(f"{primitive}: p must be a positive number of ranks, got {p}")
    for what, ranks in (("root", [root]), ("late", late or {})):
        for rank in ranks:
            if not 0 <= rank < p:
                raise ArgumentError(
                    f"{primitive}: {what} must be a rank from 0 to {p - 1}, got {rank}"
                )


def _check_counts(primitive: str, p: int, counts: Any) -> None:
    """Raise ArgumentError unless these are lengths of the blocks of all ranks."""
    if counts is None:
        return
    shape = (p, p) if primitive == "alltoall" else (p,)
    if primitive not in BLOCKWISE:
        raise ArgumentError(f"{primitive}: counts are for primitives with blocks; choose n")
    try:
        found = np.asarray(counts)
    except ValueError:
        found = np.empty(0)
    if found.shape != shape or found.dtype.kind not in "iu" or (found < 0).any():
        needed = f"{p} rows of {p}" if len(shape) == 2 else p
        raise ArgumentError(f"{primitive}: counts must be {needed} lengths, got {counts}")


def _check_number(algorithm: Algorithm, problem: Problem, given: Mapping[str, Any]) -> None:
    """Raise ArgumentError if there are too many messages; they are counted, and none is sent.

    Rounds without a message count as one: a page might yield for ever.
    """
    messages = 0
    for rank in range(problem.p):
        page = problem.start(algorithm, rank, problem.phantoms(rank), given)
        process = Process(str(algorithm), rank, problem.p, page, phantom=True)
        try:
            while messages <= MOST_MESSAGES and (round_ := process.advance()) is not None:
                messages += len(round_.sends) or 1
        except Exception:  # the run will say what is wrong with the page
            return
        if messages > MOST_MESSAGES:
            raise ArgumentError(
                f"{algorithm}: a trace needs at most {MOST_MESSAGES:,} messages and rounds, "
                f"got {messages:,} on rank{'s 0 to' * (rank > 0)} {rank} of {problem.p} alone; "
                "choose fewer ranks or segments, or collectives.count"
            )


def _cost(tracer: Tracer, algorithm: Algorithm, given: Mapping[str, Any], error: Any) -> Cost:
    """Counts and critical paths, from runs of the same page under clocks that count."""
    problem, p = tracer.problem, tracer.p
    nbytes = problem.size * problem.dtype.itemsize
    far = tracer.machine.clock
    clock = Clock(far.alpha, far.beta, far.gamma)
    try:
        seconds = predicted_time(algorithm, p, nbytes, clock, **given) if algorithm.cost else None
    except Exception:  # a cost line is the user's own Python
        seconds = None
    least = {}
    if problem.counts is None and not algorithm.lossy:
        item = problem.dtype.itemsize
        least = {
            term: bound * (1 if term == LATENCY else item)
            for term, bound in bounds(problem.primitive, p, problem.size).items()
        }
    if error is not None:
        return Cost(algorithm.cost, seconds, None, None, None, {}, least)
    phantoms = [problem.phantoms(rank) for rank in range(p)]
    runs = [
        simulator(algorithm, problem, phantoms, False, True, Machine(unit), given).run()
        for unit in (Clock(1, 0, 0), Clock(0, 1, 0), Clock(0, 0, 1))
    ]
    messages, sent, work = (round(run.time) for run in runs)
    return Cost(algorithm.cost, seconds, messages, sent, work, asdict(counted(runs[0])), least)
