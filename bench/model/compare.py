"""What the simulator says of a run, and how far it is from what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from collectives.algorithms.language.registry import AUTO
from collectives.bench.cells import BUILTIN
from collectives.machine import Machine, spec
from collectives.study.bounds import bounds
from collectives.study.pricing import evenly, price

from .runs import MADE, Record

# Beyond these bytes of the whole vector the rate decides, up to them the latency does.
LONG, SHORT = 2**18, 2**14

# A measured time below so much of the bound cannot be.
WRONG = 0.97

# How far a crossover may be off to count as found.
FACTOR = 2.0

# Who takes no more than so many times as long as the fastest is as good.
TIE = 1.1


@dataclass(frozen=True)
class Cell:
    """An algorithm and a length: seconds that were measured, and that were predicted."""

    primitive: str
    algorithm: str
    n: int
    measured: float
    predicted: float

    @property
    def ratio(self) -> float:
        """Predicted to measured."""
        return self.predicted / self.measured

    @property
    def error(self) -> float:
        """How far off the prediction is, as a part of what was measured."""
        return abs(self.ratio - 1)


@dataclass(frozen=True)
class Beyond:
    """A time as a multiple of the bound, which is below 1."""

    primitive: str
    algorithm: str
    n: int
    ratio: float


@dataclass(frozen=True)
class Crossover:
    """From which length on the winner for long vectors beats the one for short ones.

    `nan` where it never does, within the lengths that were measured.
    """

    primitive: str
    short: str
    long: str
    measured: float
    predicted: float

    @property
    def found(self) -> bool:
        """Whether the prediction is right within `FACTOR`, or about there being none."""
        both = self.measured, self.predicted
        if any(map(math.isnan, both)):
            return all(map(math.isnan, both))
        return max(both) <= FACTOR * min(both)


@cache
def machine_of(text: str) -> Machine:
    """The machine that a record's parameters describe."""
    return spec.from_keys(spec.tomllib.loads(text))


def cells(record: Record, primitives: Iterable[str] | None = None) -> list[Cell]:
    """All cells of a run that can be predicted: those of this library's algorithms by name."""
    machine, p = machine_of(record.machine), record.configuration.p
    return [
        Cell(primitive, name, int(n), 1e-6 * time, price(primitive, name, p, int(n), machine))
        for primitive in (record.times if primitives is None else primitives)
        for name in ours(record.times[primitive])
        for n, time in record.times[primitive][name].items()
    ]


def ours(times: Iterable[str]) -> list[str]:
    """Of the names of a primitive's rows, those of this library's algorithms."""
    return [name for name in times if name not in (BUILTIN, AUTO, MADE)]


def median_error(some: Iterable[Cell]) -> float:
    """Of the relative errors; nan of none."""
    errors = [cell.error for cell in some]
    return float(np.median(errors)) if errors else math.nan


def winners(some: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """For each primitive and length, the cell that was fastest and the one predicted to be."""
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in some:
        groups.setdefault((cell.primitive, cell.n), []).append(cell)
    return [
        (min(group, key=lambda cell: cell.measured), min(group, key=lambda cell: cell.predicted))
        for group in groups.values()
    ]


def right(pair: tuple[Cell, Cell]) -> bool:
    """Whether who trusts the prediction takes no more than a tie's worth longer."""
    fastest, chosen = pair
    return chosen.measured <= TIE * fastest.measured


def crossovers(some: Sequence[Cell]) -> list[Crossover]:
    """For each primitive with different winners at both ends of the lengths.

    At either end the winner must beat the other one by more than a tie.
    """
    found = []
    for primitive in dict.fromkeys(cell.primitive for cell in some):
        ours = [cell for cell in some if cell.primitive == primitive]
        sizes = sorted({cell.n for cell in ours})
        short, long = (
            min((cell for cell in ours if cell.n == n), key=lambda cell: cell.measured).algorithm
            for n in (sizes[0], sizes[-1])
        )
        if short == long:
            continue
        first, second = ({c.n: c for c in ours if c.algorithm == name} for name in (short, long))
        measured, predicted = (
            [math.log(getattr(first[n], what) / getattr(second[n], what)) for n in sizes]
            for what in ("measured", "predicted")
        )
        if min(-measured[0], measured[-1]) <= math.log(TIE):
            continue
        crossings = _crossing(sizes, measured), _crossing(sizes, predicted)
        found.append(Crossover(primitive, short, long, *crossings))
    return found


def _crossing(sizes: Sequence[int], logs: Sequence[float]) -> float:
    """The last length at which the logarithm of a ratio turns positive, interpolated."""
    places = list(zip(map(math.log, sizes), logs))
    turns = [
        math.exp(x + (u - x) * y / (y - v)) for (x, y), (u, v) in pairwise(places) if y <= 0 < v
    ]
    return turns[-1] if turns else math.nan


def bound(record: Record, primitive: str, n: int) -> float:
    """Seconds that no algorithm can beat: bytes through a host's link, at a socket's rate.

    The link passes its burst at once, so that much takes no time. Ranks of a host share its
    link and can put together what they send, so it is as with one rank a host, but for an
    alltoall, where no two blocks are the same.
    """
    times = record.ranks if primitive == "alltoall" else 1
    nbytes = evenly(primitive, record.configuration.p, n)
    through = times * bounds(primitive, record.hosts, nbytes)["bandwidth"]
    return max(0, through - record.burst) / record.payload["one_way"]


def too_fast(record: Record) -> list[Beyond]:
    """What was measured in less than `WRONG` times the bound: there the measurement is wrong."""
    return [
        Beyond(primitive, name, int(n), 1e-6 * time / limit)
        for primitive, found in record.times.items()
        for name, row in found.items()
        for n, time in row.items()
        if (limit := bound(record, primitive, int(n))) > 0 and 1e-6 * time < WRONG * limit
    ]
