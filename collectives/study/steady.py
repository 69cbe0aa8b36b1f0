"""Pipelines of very many segments: a run that goes on as it has begun.

Once a pipeline is full every further segment of the same size takes as long as the one before
it. So a run with many segments is found from two with fewer, whose segments are as long: all that
is counted grows along a straight line. Exact for a chain; where links are shared, and two
segments are not quite alike, it is an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from collectives.algorithms.language.ranks import ceil_lg
from collectives.algorithms.language.registry import Algorithm
from collectives.engines.driver import Process
from collectives.engines.simulator import Load, Run
from collectives.machine.model import Machine
from collectives.problems import Problem
from collectives.study import fast
from collectives.study.verify import settle

SEGMENTS = "segments"

# Segments of the first run, which fill the pipeline, and as many more has the second; fewer where
# a segment has so many messages that they all take long, but not less than these.
FEW, LEAST = 48, 8
MESSAGES = 20_000

# Messages of both runs that are simulated, and those that are estimated; of more it takes too long.
EXACT, MOST = 100_000, 500_000


def steady(
    algorithm: Algorithm,
    problem: Problem,
    machine: Machine,
    parameters: Mapping[str, Any],
    number: int,
    messages: float,
) -> Run | None:
    """About what a run does that has many segments; None if it has not so many.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
    machine : Machine
    parameters : mapping
        Keyword parameters of the algorithm.
    number : int
        Segments of the whole run.
    messages : float
        About how many the whole run has.
    """
    few, more = _fewer(number, problem.p, messages / number)
    both = messages * (few + more) / number
    if number <= 2 * (few + more) or both > MOST:
        return None
    run = fast.run if both <= EXACT else fast.estimate
    runs: list[Run | None] = [
        run(algorithm, _shorter(problem, some, number), machine, {**parameters, SEGMENTS: some})
        for some in (few, more)
    ]
    if runs[0] is None or runs[1] is None:
        return None
    return _onwards(runs[0], runs[1], (number - few) / (more - few))


def _fewer(number: int, p: int, messages: float) -> tuple[int, int]:
    """Segments of the two runs: whole cycles of ceil(lg p) rounds fewer than there are."""
    cycle = max(ceil_lg(p), 1)
    few = max(LEAST, min(FEW, int(MESSAGES / messages)))
    few += (number - few) % cycle
    return few, few + -(-few // cycle) * cycle


def segments_of(
    algorithm: Algorithm, problem: Problem, machine: Machine, parameters: Mapping[str, Any]
) -> int:
    """Into how many segments it cuts the vector, seen by how many rounds rank 0 has."""
    if parameters.get(SEGMENTS) is not None:
        return int(parameters[SEGMENTS])

    def rounds(**given: int) -> int:
        return _rounds(algorithm, problem, machine, {**parameters, **given})

    few, more = rounds(segments=FEW), rounds(segments=2 * FEW)
    return FEW + round(FEW * (rounds() - few) / (more - few)) if more > few else 1


def _rounds(
    algorithm: Algorithm, problem: Problem, machine: Machine, parameters: Mapping[str, Any]
) -> int:
    chosen, given = settle(algorithm, problem, parameters, machine)
    generator = problem.start(chosen, 0, problem.phantoms(0), given)
    process = Process(str(chosen), 0, problem.p, generator, phantom=True)
    while process.resume() is not None:
        pass
    return process.rounds


def _shorter(problem: Problem, few: int, number: int) -> Problem:
    """The problem with so few of that number of segments."""
    return replace(problem, n=round(problem.n * few / number))


def _onwards(few: Run, more: Run, share: float) -> Run:
    """From the first run through the second, and as far again as the share says."""
    found: dict[str, Any] = {}
    for name in [field.name for field in fields(Run) if field.name not in ("links", "exact")]:
        start, end = getattr(few, name), getattr(more, name)
        value = start + (end - start) * share
        found[name] = value if name == "finished" else value.round().astype(start.dtype)
    began = {load.name: load.nbytes for load in few.links}
    loads = [
        Load(x.name, x.rate, round(start + (x.nbytes - start) * share), x.burst)
        for x in more.links
        for start in [began.get(x.name, 0)]
    ]
    return Run(links=tuple(loads), exact=False, **found)
