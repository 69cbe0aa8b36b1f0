"""Simulated runs by the quickest way that has the same result.

one for all     where an algorithm is the same seen from every rank, one rank is simulated
side by side    else, of many ranks, the clock is computed for all at once
one by one      where messages share links, or meet in an order that these cannot tell

Whether ranks are all the same is found by running the algorithm, never declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import ROOTED, Algorithm
from collectives.engines.anyone import Alike, Anyone, any_phantom
from collectives.engines.crowded import Crowd, Crowded
from collectives.engines.law import Law, law_of
from collectives.engines.lockstep import Lockstep
from collectives.engines.simulator import Run, Simulator
from collectives.engines.symmetric import Beat, record_once, run_once
from collectives.machine.model import Machine
from collectives.problems import BLOCKWISE, Buffers, Problem
from collectives.study.copies import NOTHING, Share, copies_of
from collectives.study.verify import settle

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
    if law.groups is not None:
        return None
    generator = _anyone(algorithm, problem, parameters)
    if generator is None:
        return None
    p, exact = problem.p, True
    share = run_once(str(algorithm), p, generator, law)
    if share is not None and law.delta:
        copies = copies_of(algorithm, problem, parameters, True)
        if copies.exact and not copies.alike:
            return None
        exact, generator = copies.exact, _anyone(algorithm, problem, parameters)
        assert generator is not None
        share = run_once(str(algorithm), p, generator, law, copies.most)
    if share is None:
        return None
    columns: dict[str, Any] = {name: np.full(p, value) for name, value in vars(share).items()}
    return Run(**columns, exact=exact)


def symmetric(
    algorithm: Algorithm, problem: Problem, machine: Machine, parameters: Mapping[str, Any]
) -> Run | None:
    """A run in which one rank stands for all; None where that is not so."""
    chosen, given = settle(algorithm, problem, parameters, machine)
    law = law_of(machine, problem.p, False)
    return None if law is None else one_for_all(chosen, problem, law, given)


def estimate(
    algorithm: Algorithm,
    problem: Problem,
    machine: Machine,
    parameters: Mapping[str, Any],
    every: bool = True,
) -> Run | None:
    """About how long it takes where links are shared: beat by beat, and not flow by flow.

    None where that cannot tell. Without `every` it is tried only where one rank stands for all.
    """
    chosen, given = settle(algorithm, problem, parameters, machine)
    law, placed = law_of(machine.unshared(), problem.p, False), machine.at(problem.p)
    if law is None or placed is None:
        return None
    title, p, alike = str(chosen), problem.p, law._replace(groups=None)
    beats = _beats(chosen, problem, alike, given)
    if beats is not None and law.delta:
        beats = _beats(chosen, problem, alike, given, copies_of(chosen, problem, given, True).most)
    if beats is not None:
        return Crowd(p, law, placed).run(beats)
    if not every:
        return None
    copies = copies_of(chosen, problem, given) if law.delta else None
    return Crowded(title, p, _program(chosen, problem, given), law, placed, copies).run()


def copying(
    algorithm: Algorithm, problem: Problem, machine: Machine, parameters: Mapping[str, Any]
) -> float:
    """Seconds that the rank copies that copies most."""
    if not machine.delta:
        return 0.0
    chosen, given = settle(algorithm, problem, parameters, machine)
    return machine.delta * copies_of(chosen, problem, given).largest


def _beats(
    algorithm: Algorithm,
    problem: Problem,
    law: Law,
    parameters: Mapping[str, Any],
    copied: Share = NOTHING,
) -> list[Beat] | None:
    """What all ranks do in each round; None if that is not the same."""
    generator = _anyone(algorithm, problem, parameters)
    if generator is None:
        return None
    return record_once(str(algorithm), problem.p, generator, law, copied)


def _anyone(
    algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any]
) -> Iterator | None:
    """An algorithm's run for anyone; None if ranks differ from the start."""
    if algorithm.needs_groups or not _alike(problem):
        return None
    p, sizes = problem.p, (problem.send_size(0), problem.recv_size(0))
    buffers = Buffers(*[None if s is None else any_phantom(s, problem.dtype) for s in sizes])
    arguments = problem.arguments(algorithm, 0, buffers)
    if algorithm.needs_counts:
        arguments[-1] = Alike(p, problem.n // p)
    return algorithm.generator(Anyone(p), p, *arguments, **parameters)


def _alike(problem: Problem) -> bool:
    """Whether all of several ranks have buffers of one size, and blocks of one size in them."""
    even = problem.counts is None and problem.n % problem.p == 0
    one_size = even or problem.primitive not in BLOCKWISE
    return problem.p > 1 and one_size and problem.primitive not in ROOTED


def side_by_side(
    algorithm: Algorithm, problem: Problem, law: Law, parameters: Mapping[str, Any]
) -> Run | None:
    """A run of all ranks, beat by beat; None if that is no faster, or cannot be told so."""
    program = _program(algorithm, problem, parameters)
    copies = copies_of(algorithm, problem, parameters) if law.delta else None
    run = Lockstep(str(algorithm), problem.p, program, law, copies).run()
    return run if run is None or copies is None else replace(run, exact=copies.exact)


def one_by_one(
    algorithm: Algorithm,
    problem: Problem,
    machine: Machine,
    parameters: Mapping[str, Any],
    rendezvous: bool = False,
) -> Run:
    """A run of the simulator."""
    program, p = _program(algorithm, problem, parameters), problem.p
    copies = copies_of(algorithm, problem, parameters) if machine.delta else None
    run = Simulator(
        str(algorithm), p, program, problem.operator, machine, rendezvous, True, copies=copies
    ).run()
    return run if copies is None else replace(run, exact=copies.exact)


def _program(
    algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any]
) -> Callable[[int], Iterator]:
    return lambda rank: problem.start(algorithm, rank, problem.phantoms(rank), parameters)
