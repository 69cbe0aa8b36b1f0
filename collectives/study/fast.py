"""Simulated runs by the quickest way that has the same result.

one for all     where an algorithm is the same seen from every rank, one rank is simulated
side by side    else, of many ranks, the clock is computed for all at once
one by one      where messages share links, or meet in an order that these cannot tell

Whether ranks are all the same is found by running the algorithm, never declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import ROOTED, Algorithm
from collectives.engines.anyone import Alike, Anyone, any_phantom
from collectives.engines.law import Law, law_of
from collectives.engines.lockstep import Lockstep
from collectives.engines.simulator import Run
from collectives.engines.symmetric import run_once
from collectives.machine.model import Machine
from collectives.problems import BLOCKWISE, Buffers, Problem
from collectives.study.verify import settle, simulator

# Fewer ranks are as fast one by one.
MANY = 24


def run(
    algorithm: Algorithm,
    problem: Problem,
    machine: Machine,
    parameters: Mapping[str, Any],
    rendezvous: bool = False,
) -> Run:
    """Run an algorithm on phantom buffers.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
    machine : Machine
    parameters : mapping
        Keyword parameters of the algorithm.
    rendezvous : bool
        All sends wait for their recv.

    Raises
    ------
    RestrictionError
        The algorithm declares that it cannot do this.
    ScheduleError
        The algorithm broke a rule, or does not end.
    """
    chosen, given = settle(algorithm, problem, parameters, machine)
    law = law_of(machine, problem.p, rendezvous)
    found = None
    if law is not None:
        found = one_for_all(chosen, problem, law, given)
        if found is None and problem.p >= MANY:
            found = side_by_side(chosen, problem, law, given)
    return found or one_by_one(chosen, problem, machine, given, rendezvous)


def one_for_all(
    algorithm: Algorithm, problem: Problem, law: Law, parameters: Mapping[str, Any]
) -> Run | None:
    """A run in which one rank stands for all; None if they are not all the same.

    Takes an algorithm and parameters that `settle` has returned, as do the others.
    """
    if law.groups is not None or algorithm.needs_groups or not _alike(problem):
        return None
    p, sizes = problem.p, (problem.send_size(0), problem.recv_size(0))
    buffers = Buffers(*[None if s is None else any_phantom(s, problem.dtype) for s in sizes])
    arguments = problem.arguments(algorithm, 0, buffers)
    if algorithm.needs_counts:
        arguments[-1] = Alike(p, problem.n // p)
    generator = algorithm.generator(Anyone(p), p, *arguments, **parameters)
    share = run_once(str(algorithm), p, generator, law)
    if share is None:
        return None
    columns: dict[str, Any] = {name: np.full(p, value) for name, value in vars(share).items()}
    return Run(**columns)


def _alike(problem: Problem) -> bool:
    """Whether all of several ranks have buffers of one size, and blocks of one size in them."""
    even = problem.counts is None and problem.n % problem.p == 0
    one_size = even or problem.primitive not in BLOCKWISE
    return problem.p > 1 and one_size and problem.primitive not in ROOTED


def side_by_side(
    algorithm: Algorithm, problem: Problem, law: Law, parameters: Mapping[str, Any]
) -> Run | None:
    """A run of all ranks, beat by beat; None if that is no faster, or cannot be told so."""

    def program(rank: int) -> Iterator:
        return problem.start(algorithm, rank, problem.phantoms(rank), parameters)

    return Lockstep(str(algorithm), problem.p, program, law).run()


def one_by_one(
    algorithm: Algorithm,
    problem: Problem,
    machine: Machine,
    parameters: Mapping[str, Any],
    rendezvous: bool = False,
) -> Run:
    """A run of the simulator."""
    buffers = [problem.phantoms(rank) for rank in range(problem.p)]
    return simulator(algorithm, problem, buffers, rendezvous, True, machine, parameters).run()
