"""Run an algorithm in the simulator and hold its buffers against the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from collectives import checks
from collectives.algorithms.language.registry import GROUP, LINKS, Algorithm
from collectives.catalogue import check_lossy, check_restrictions
from collectives.choice import decide
from collectives.engines.simulator import Run, Simulator
from collectives.errors import WrongResult
from collectives.machine.model import Machine
from collectives.nodes import grouping, layout
from collectives.problems import SENTINEL, Buffers, Problem, sentinel
from collectives.study.compression import error_limit
from collectives.study.copies import copies_of


def verify(
    algorithm: Algorithm,
    problem: Problem,
    *,
    rendezvous: bool = False,
    machine: Machine | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Run:
    """Check one algorithm on one problem.

    Every rank must end with the right output, its input unchanged, and no
    message left over. The algorithm's rules are checked on the way. The output of a lossy
    algorithm must be the same on all ranks, and as near the right one as
    `compression.error_limit` says.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
    rendezvous : bool
        Let sends wait for their recv, which finds deadlocks.
    machine : Machine, optional
        Where the ranks are, which algorithms with two levels and `auto` ask.
    parameters : mapping, optional
        Keyword parameters of the algorithm.

    Returns
    -------
    Run
        The run's clock and counts.

    Raises
    ------
    WrongResult
        Names the rank and the index of the first wrong element.
    ScheduleError
        A rule was broken, or the ranks wait for each other.
    """
    checks.memory(str(algorithm), "the vectors of all ranks", problem.nbytes)
    buffers = [problem.buffers(rank) for rank in range(problem.p)]
    run = simulator(
        algorithm, problem, buffers, rendezvous, machine=machine, parameters=parameters
    ).run()
    limit = 0.0
    if algorithm.lossy:
        limit = error_limit(algorithm, problem.inputs, parameters)
        _check_same_bits(f"{algorithm}", problem, buffers)
    for rank, mine in enumerate(buffers):
        check(f"{algorithm}", problem, rank, mine, limit)
    if problem.primitive == "barrier":
        _check_barrier(algorithm, problem, parameters, machine)
    return run


def _check_barrier(
    algorithm: Algorithm, problem: Problem, parameters: Any, machine: Machine | None
) -> None:
    """Let each rank in turn come late: nobody may leave before it has come."""
    nobody = [problem.buffers(rank) for rank in range(problem.p)]
    for late in range(problem.p):
        waiting = simulator(algorithm, problem, nobody, machine=machine, parameters=parameters)
        waiting.ready = sorted((1.0 if rank == late else 0.0, rank) for _, rank in waiting.ready)
        early = np.flatnonzero(waiting.run().finished < 1.0)
        if early.size:
            raise WrongResult(
                f"{algorithm}: rank {early[0]} of {problem.p}: must wait until all have come, "
                f"got out before rank {late} came"
            )


def simulator(
    algorithm: Algorithm,
    problem: Problem,
    buffers: list[Buffers],
    rendezvous: bool = False,
    phantom: bool = False,
    machine: Machine | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Simulator:
    """A simulator that is ready to run `algorithm` on these buffers."""
    chosen, given = settle(algorithm, problem, parameters or {}, machine)

    def program(rank: int):
        return problem.start(chosen, rank, buffers[rank], given)

    costs = machine is not None and machine.delta
    copies = copies_of(chosen, problem, given) if costs else None
    options: Any = {"machine": machine, "rendezvous": rendezvous, "phantom": phantom}
    return Simulator(str(chosen), problem.p, program, problem.operator, copies=copies, **options)


def settle(
    algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any], machine: Machine | None
) -> tuple[Algorithm, Mapping[str, Any]]:
    """What will run: the algorithm that `auto` stands for, and its parameters, nodes among them.

    Raises
    ------
    RestrictionError
        The algorithm declares that it cannot do this.
    """
    nbytes = problem.size * problem.dtype.itemsize
    commutative = problem.operator.commutative
    if machine is not None and machine.network is None:
        machine = None
    nodes = None if machine is None else machine.groups(problem.p)
    many = 1 if machine is None else machine.many(problem.p)
    chosen, given = decide(algorithm, parameters, problem.p, nbytes, commutative, many)
    title, p, operator = str(chosen), problem.p, problem.operator
    check_lossy(chosen, p, operator, problem.dtype)
    groups = None
    if chosen.needs_groups:
        group = given.get(GROUP)
        groups = grouping(title, p, nodes if group is None and nodes else group)
        links = {LINKS: layout(chosen, p, given, nodes, machine)} if chosen.needs_links else {}
        given = {**given, GROUP: groups, **links}
    check_restrictions(chosen, p, commutative, groups)
    return chosen, given


def check(title: str, problem: Problem, rank: int, buffers: Buffers, limit: float = 0) -> None:
    """Raise WrongResult unless the buffers of `rank` are as they should be.

    With a limit, the output may be off by so much.
    """
    expected = problem.expected(rank)
    where = f"{title}: rank {rank} of {problem.p}"
    if expected is not None and limit:
        _compare_roughly(where, problem, buffers.recv, expected, limit)
    elif expected is not None:
        _compare(where, "output", problem, buffers.recv, expected)
    elif buffers.recv is not None and not (problem.in_place and buffers.send is not None):
        _compare(where, "output", problem, buffers.recv, sentinel(buffers.recv.size, problem.dtype))
    # In place, the input may change only where the output lies: all of it, except in scatter.
    spared = not problem.in_place or expected is None or problem.primitive == "scatter"
    if buffers.send is not None and spared:
        _compare(where, "input", problem, buffers.send, problem.input(rank))


def _compare(where: str, what: str, problem: Problem, got: Any, wanted: Any) -> None:
    bits = [np.frombuffer(x.tobytes(), f"V{x.itemsize}") for x in (got, wanted)]
    wrong = np.flatnonzero(bits[0] != bits[1])
    if wrong.size:
        index = wrong[0]
        shown = got[index]
        if got.itemsize >= 4 and bits[0][index].tobytes() == bytes([SENTINEL]) * got.itemsize:
            shown = "what was there before: it was never written"
        raise WrongResult(
            f"{where}: {what}[{index}] must be {wanted[index]}, got {shown}; "
            f"{wrong.size} of {got.size} elements are wrong ({problem})"
        )


def _compare_roughly(where: str, problem: Problem, got: Any, wanted: Any, limit: float) -> None:
    wrong = np.flatnonzero(~(np.abs(got - wanted) <= limit))  # what is NaN is wrong, too
    if wrong.size:
        index = wrong[0]
        raise WrongResult(
            f"{where}: output[{index}] must be within {limit:.3g} of {wanted[index]}, got "
            f"{got[index]}; {wrong.size} of {got.size} elements are wrong ({problem})"
        )


def _check_same_bits(title: str, problem: Problem, buffers: list[Buffers]) -> None:
    outputs = [mine.recv.tobytes() for mine in buffers if mine.recv is not None]
    for rank, output in enumerate(outputs):
        if output != outputs[0]:
            raise WrongResult(
                f"{title}: rank {rank} of {problem.p}: must have the same bits as rank 0, got "
                f"others ({problem})"
            )
