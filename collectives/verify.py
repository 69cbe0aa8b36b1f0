"""Run an algorithm in the simulator and hold its buffers against the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from collectives.algorithms.registry import Algorithm
from collectives.engines.simulator import Clock, Run, Simulator
from collectives.errors import WrongResult
from collectives.problems import Buffers, Problem, sentinel


def verify(
    algorithm: Algorithm,
    problem: Problem,
    *,
    rendezvous: bool = False,
    parameters: Mapping[str, Any] | None = None,
) -> Run:
    """Check one algorithm on one problem.

    Every rank must end with the right output, its input unchanged, and no
    message left over. The algorithm's rules are checked on the way.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
    rendezvous : bool
        Let sends wait for their recv, which finds deadlocks.
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
    buffers = [problem.buffers(rank) for rank in range(problem.p)]
    run = simulator(algorithm, problem, buffers, rendezvous, parameters=parameters).run()
    for rank, mine in enumerate(buffers):
        check(f"{algorithm}", problem, rank, mine)
    return run


def simulator(
    algorithm: Algorithm,
    problem: Problem,
    buffers: list[Buffers],
    rendezvous: bool = False,
    phantom: bool = False,
    clock: Clock | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Simulator:
    """A simulator that is ready to run `algorithm` on these buffers."""

    def program(rank: int):
        arguments = problem.arguments(algorithm, rank, buffers[rank])
        return algorithm.generator(rank, problem.p, *arguments, **(parameters or {}))

    return Simulator(
        str(algorithm), problem.p, program, problem.operator, clock, rendezvous, phantom
    )


def check(title: str, problem: Problem, rank: int, buffers: Buffers) -> None:
    """Raise WrongResult unless the buffers of `rank` are as they should be."""
    expected = problem.expected(rank)
    where = f"{title}: rank {rank} of {problem.p}"
    if expected is not None:
        _compare(where, "output", problem, buffers.recv, expected)
    elif buffers.recv is not None and not (problem.in_place and buffers.send is not None):
        _compare(where, "output", problem, buffers.recv, sentinel(buffers.recv.size, problem.dtype))
    if buffers.send is not None and not problem.in_place:
        _compare(where, "input", problem, buffers.send, problem.input(rank))


def _compare(where: str, what: str, problem: Problem, got: Any, wanted: Any) -> None:
    if got.tobytes() == wanted.tobytes():
        return
    wrong = np.flatnonzero(got != wanted)
    if wrong.size:
        index = wrong[0]
        raise WrongResult(
            f"{where}: {what}[{index}] must be {wanted[index]}, got {got[index]}; "
            f"{wrong.size} of {got.size} elements are wrong ({problem})"
        )
