"""What algorithms cost by the model: the one price that everything asks for.

`priced` is behind `predict`, `why`, `table`, the table of `auto` and the bench's model. A price
is the time of a simulated run on the machine; where that takes too long, an estimate, and it
says which:

simulated    message by message, and flow by flow where links are shared
estimated    beat by beat: messages that are sent together share links (`engines/crowded.py`); or,
             of a pipeline, from its first segments (`steady.py`); or a few ranks stand for all in
             what they copy (`study/copies.py`)
cost line    of many ranks that are equally far from each other: the `Cost:` line, which tests
             hold against the simulated runs
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import Algorithm
from collectives.catalogue import check_parameters, check_restrictions, find
from collectives.engines.simulator import Load, Run
from collectives.errors import ArgumentError
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.problems import BLOCKWISE, Problem
from collectives.study import fast
from collectives.study.cost import predicted_time
from collectives.study.simulation import BYTES_OF_FLOATS
from collectives.study.steady import SEGMENTS, segments_of, steady

# The clock of the declared table: a round of the library through the shared memory of
# a small machine, and numpy's addition of float64, which takes 0.05 ns a byte in the cache
# and twice that beyond it.
DECLARED_CLOCK = Clock(alpha=5e-6, beta=2e-10, gamma=6e-11)

SIMULATED, ESTIMATED, LINE = "simulated", "estimated", "cost line"

# Messages of runs that are simulated flow by flow, and side by side where nothing is shared, and
# those that are estimated: of more it takes longer than anybody waits, or a cost line is as good.
FLOWS, SIDE_BY_SIDE, BEATS = 50_000, 5_000, 2**19
# A cost line does not tell of so many times as many messages as there are.
TRUSTED = 4

# Of more messages than these, in many segments, only the first segments are simulated: few pass a
# link at once, so that more can be. Tables of choices, which ask for many prices, have less time.
WHOLE, PIPELINED = 2**17, 5_000

# Ranks of a small run, and bytes that fill its pipelines.
SAMPLE, FILLED = 16, 2**22


class TooLong(ArgumentError):
    """There is no price that could be had in time."""


@dataclass(frozen=True)
class Price:
    """What an algorithm costs.

    Attributes
    ----------
    seconds : float
    how : str
        `SIMULATED`, `ESTIMATED`, or by its cost `LINE`.
    run : Run or None
        What the run did; there is none behind a cost line.
    """

    seconds: float
    how: str
    run: Run | None = None

    @property
    def bottleneck(self) -> Load | None:
        """The shared link that was busy longest."""
        return None if self.run is None else self.run.bottleneck


def evenly(primitive: str, p: int, n: int) -> int:
    """`n` bytes or a few more, so that blocks are equal and have whole elements of 8 bytes."""
    unit = 8 * p if primitive in BLOCKWISE else 8
    return -(-n // unit) * unit if primitive != "barrier" else 0


def price(primitive: str, spec: str, p: int, n: int, machine: Machine) -> float:
    """Seconds that an algorithm takes by the model, for n bytes of the whole vector on p ranks."""
    return priced(primitive, spec, p, n, machine).seconds


def priced(
    primitive: str, spec: str, p: int, n: int, machine: Machine, whole: int = WHOLE
) -> Price:
    """What an algorithm costs on a machine.

    Parameters
    ----------
    primitive, spec : str
        The algorithm, perhaps with parameters, as in `collectives.find`.
    p : int
        Number of ranks.
    n : int
        Bytes of the whole vector, rounded up so that blocks are equal (`evenly`).
    machine : Machine
    whole : int
        Of a pipeline with more messages than these only the first segments are simulated.

    Raises
    ------
    RestrictionError
        The algorithm cannot do this.
    TooLong
        It has too many messages.
    """
    algorithm, given = find(primitive, spec)
    chosen = _Chosen(algorithm, tuple(given.items()))
    return _priced(chosen, p, evenly(primitive, p, n), simplified(machine, p), whole)


@dataclass(frozen=True)
class _Chosen:
    """An algorithm with its parameters; one that was loaded anew is another one."""

    algorithm: Algorithm
    parameters: tuple[tuple[str, object], ...]

    def __hash__(self) -> int:
        return hash((str(self.algorithm), self.parameters))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Chosen)
            and self.algorithm is other.algorithm
            and self.parameters == other.parameters
        )


@cache
def _priced(chosen: _Chosen, p: int, n: int, machine: Machine, whole: int) -> Price:
    algorithm, given = chosen.algorithm, dict(chosen.parameters)
    check_parameters(algorithm, given)
    check_restrictions(algorithm, p, groups=machine.groups(p) if algorithm.needs_groups else None)
    problem = phantom_problem(algorithm, p, n)
    segments = 0
    if machine.network is not None and SEGMENTS in algorithm.parameters:
        segments = segments_of(algorithm, problem, machine, given)
    number = _messages(algorithm, p, n, {**given, SEGMENTS: segments} if segments else given)
    if segments and number > whole:
        found = steady(algorithm, problem, machine, given, segments, number)
        if found is not None:
            return Price(found.time, ESTIMATED, found)
    flows = max(FLOWS, whole) if segments else FLOWS
    if number <= (flows if machine.shares else SIDE_BY_SIDE):
        return _simulated(fast.run(algorithm, problem, machine, given))
    if not machine.shares and (found := fast.symmetric(algorithm, problem, machine, given)):
        return _simulated(found)
    if machine.network is None:
        if isinstance(machine.clock, Clock):
            copying = fast.copying(algorithm, problem, machine, given)
            return Price(predicted_time(algorithm, p, n, machine.clock, **given) + copying, LINE)
    elif (estimate := _estimated(algorithm, problem, machine, given, number <= BEATS)) is not None:
        return estimate
    if FLOWS < number <= TRUSTED * BEATS:
        number, line = fast.messages(algorithm, problem, machine, given, TRUSTED * BEATS), number
        if number <= BEATS < line and machine.network is not None:
            estimate = _estimated(algorithm, problem, machine, given)
            if estimate is not None:
                return estimate
    if number <= (BEATS if machine.network is None else FLOWS):
        return _simulated(fast.run(algorithm, problem, machine, given))
    raise _too_long(algorithm, number)


def _estimated(
    algorithm: Algorithm,
    problem: Problem,
    machine: Machine,
    given: Mapping[str, Any],
    every: bool = True,
) -> Price | None:
    run = fast.estimate(algorithm, problem, machine, given, every)
    return None if run is None else Price(run.time, ESTIMATED, run)


def _simulated(run: Run) -> Price:
    return Price(run.time, SIMULATED if run.exact else ESTIMATED, run)


def _too_long(algorithm: Algorithm, number: float) -> TooLong:
    many = f"about {number / 1e6:.2g} million" if number < 1e12 else "too many"
    less = "fewer ranks or segments" if "segments" in algorithm.parameters else "fewer ranks"
    return TooLong(f"{algorithm}: needs at most {BEATS} messages, got {many}; take {less}")


def phantom_problem(algorithm: Algorithm, p: int, n: int) -> Problem:
    """The problem that is priced: n bytes, of float32 where something is lost."""
    dtype = BYTES_OF_FLOATS if algorithm.lossy else np.dtype(np.uint8)
    return Problem(algorithm.primitive, p, -(-n // dtype.itemsize), 0, dtype)


def effort(primitive: str, spec: str, p: int, n: int) -> float:
    """About how much there is to do for a price, in messages."""
    algorithm, given = find(primitive, spec)
    return _messages(algorithm, p, evenly(primitive, p, n), given)


def _messages(algorithm: Algorithm, p: int, n: int, given: Mapping[str, Any]) -> float:
    """About how many messages there are: the critical path of each rank, by the cost line.

    Not all ranks are always busy. How many are is seen with few ranks; without a cost line all
    send to all.
    """
    try:
        number = p * predicted_time(algorithm, p, n, Clock(1, 0, 0), **given)
    except ArgumentError:
        return float(p * p)
    return number if number <= FLOWS else number * _density(_Chosen(algorithm, ()))


@cache
def _density(chosen: _Chosen) -> float:
    """The share of ranks that are busy while one rank is, in a small run."""
    algorithm = chosen.algorithm
    p = max(SAMPLE, algorithm.minimum_p)
    n = FILLED if SEGMENTS in algorithm.parameters else 64 * p
    problem = phantom_problem(algorithm, p, n)
    run = fast.run(algorithm, problem, Machine(Clock(1, 0, 0)), {})
    return float(run.messages.sum()) / max(p * run.time, 1)


@cache
def simplified(machine: Machine, p: int) -> Machine:
    """The same machine without what cannot matter: NICs that no two ranks share.

    Then nothing is shared, or nobody is near anybody, and runs are quicker.
    """
    clock = machine.clock
    placed = machine.at(p)
    limited = machine.burst or machine.link < math.inf
    if placed is None or limited or not isinstance(clock, Clock):
        return machine
    seats = Counter((node, placed.nic(rank)) for rank, node in enumerate(placed.groups))
    if max(seats.values()) > 1:
        return machine
    slower = replace(clock, beta=max(clock.beta, 1 / machine.nic))
    return machine.seen_as(nic=math.inf, clock=slower)
