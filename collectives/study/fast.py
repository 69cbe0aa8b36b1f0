"""Simulated runs by the quickest way that has the same result.

one for all     where an algorithm is the same seen from every rank, one rank is simulated
side by side    else, of many ranks, the clock is computed for all at once
one by one      where messages share links, or meet in an order that these cannot tell

Whether ranks are all the same is found by running the algorithm, never declared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import ROOTED, Algorithm
from collectives.engines.anyone import Alike, Anyone, any_phantom
from collectives.engines.crowded import Crowd, Crowded
from collectives.engines.driver import Process
from collectives.engines.law import Law, law_of
from collectives.engines.lockstep import Lockstep
from collectives.engines.notes import Score
from collectives.engines.simulator import Run, Simulator
from collectives.engines.symmetric import Beat, record_once, run_once
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.problems import BLOCKWISE, Buffers, Problem
from collectives.study.copies import NOTHING, Copied, Share, copies_of
from collectives.study.verify import settle

# By which an algorithm is run that may be the same for all, whatever the machine is.
PLAIN = Law(Clock().way, Clock().way, None, 0.0, math.inf)
# Fewer ranks are as fast one by one.
MANY = 24
# So many ranks, and rank 0, show how many messages there are.
FEW = 8


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
    return Crowded(title, p, _score(chosen, problem, given, law), law, placed, copies).run()


def copying(
    algorithm: Algorithm, problem: Problem, machine: Machine, parameters: Mapping[str, Any]
) -> float:
    """Seconds that the rank copies that copies most."""
    if not machine.delta:
        return 0.0
    chosen, given = settle(algorithm, problem, parameters, machine)
    return machine.delta * _copies(chosen, problem, given).largest


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


def messages(
    algorithm: Algorithm,
    problem: Problem,
    machine: Machine,
    parameters: Mapping[str, Any],
    most: float,
) -> float:
    """About how many messages there are, by what a few ranks send; inf if more than `most`.

    What a rank sends does not depend on what it gets, so that a rank can run alone.
    """
    chosen, given = settle(algorithm, problem, parameters, machine)
    program, p = _program(chosen, problem, given), problem.p
    others = Random(p).sample(range(1, p), min(FEW, p - 1))

    def sent(rank: int) -> float:
        process, number = Process(str(chosen), rank, p, program(rank), True), 0
        while (round_ := process.advance()) is not None:
            number += len(round_.sends)
            if max(number, process.rounds) > most:
                return math.inf
        return number

    return sent(0) + (p - 1) * sum(map(sent, others)) / max(len(others), 1)


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
    program = _score(algorithm, problem, parameters, law)
    copies = _copies(algorithm, problem, parameters) if law.delta else None
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
    copies = _copies(algorithm, problem, parameters) if machine.delta else None
    run = Simulator(
        str(algorithm), p, program, problem.operator, machine, rendezvous, True, copies=copies
    ).run()
    return run if copies is None else replace(run, exact=copies.exact)


def _copies(algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any]) -> Copied:
    """What ranks copy, from one plan if that stands for all."""
    generator, p = _anyone(algorithm, problem, parameters), problem.p
    same = generator is not None and run_once(str(algorithm), p, generator, PLAIN) is not None
    return copies_of(algorithm, problem, parameters, same)


# What ranks did when an algorithm was last run side by side, while that is remembered.
_last: list[tuple[Any, Score]] | None = None


@contextmanager
def remembering() -> Iterator[None]:
    """Within it an algorithm that runs again on other machines reads what it did at first.

    That takes some memory, and is worth it where the machines differ in what things cost.
    """
    global _last
    before, _last = _last, []
    try:
        yield
    finally:
        _last = before


def _score(
    algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any], law: Law
) -> Callable[[int], Iterator]:
    """The program of all ranks, which may have run before."""
    program = _program(algorithm, problem, parameters)
    if _last is None or problem.counts is not None:
        return program
    key = algorithm, vars(problem), dict(parameters), law.eager
    if not _last or _last[0][0] != key:
        _last[:] = [(key, Score(program))]
    return _last[0][1]


def _program(
    algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any]
) -> Callable[[int], Iterator]:
    return lambda rank: problem.start(algorithm, rank, problem.phantoms(rank), parameters)
