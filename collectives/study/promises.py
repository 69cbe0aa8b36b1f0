"""Hold an algorithm against its docstring: the lines that must be there, and its cost line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collectives.algorithms.language.pages import docstring
from collectives.algorithms.language.ranks import floor_lg
from collectives.algorithms.language.registry import REDUCTIONS, Algorithm
from collectives.errors import ArgumentError, CollectiveError
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.problems import Problem
from collectives.study.cost import predicted_time
from collectives.study.simulation import BYTES_OF_FLOATS
from collectives.study.verify import simulator

# The factors of a cost line, what they count, and the clock that counts nothing else.
FACTORS = {
    "alpha": ("messages", Clock(1, 0, 0)),
    "beta": ("bytes", Clock(0, 1, 0)),
    "gamma": ("bytes reduced", Clock(0, 0, 1)),
}

# What a docstring must say, besides its first line.
LINES = {"cost": "Cost: alpha + n*beta", "restrictions": "Restrictions: none"}


class PromiseBroken(CollectiveError):
    """The answers are right, and what the docstring says is missing or wrong."""

    def __init__(self, message: str, hint: str):
        super().__init__(message)
        self.hint = hint


def check_lines(algorithm: Algorithm) -> None:
    """Raise PromiseBroken unless the docstring has a first line and those that are needed."""
    if not docstring(algorithm.generator):
        raise PromiseBroken(
            f"{algorithm}: a docstring is needed, got none",
            "say in its first line what the algorithm is, then how the data move, then "
            + " and ".join(f"`{line}`" for line in LINES.values()),
        )
    for name, example in LINES.items():
        if not getattr(algorithm, name):
            raise PromiseBroken(
                f"{algorithm}: a line `{name.capitalize()}:` is needed in the docstring, got none",
                f"write it like `{example}`",
            )


def check_cost(algorithm: Algorithm, ranks: list[int], parameters: Mapping[str, Any]) -> None:
    """Raise PromiseBroken unless the cost line is what the rounds cost, for these p.

    The factor of alpha is exact, unless the docstring says that all factors are upper bounds.
    Those of beta and gamma are exact for powers of two; for other p they may be upper bounds,
    at most twice the truth, which the docstring then says.
    """
    text = " ".join(docstring(algorithm.generator).split())
    rough = "All factors are upper bounds" in text
    bound = "upper bound" in text
    given = dict(parameters)
    if "segments" in algorithm.parameters:
        given.setdefault("segments", 3)
    for p in ranks:
        exact = not rough and not p & (p - 1) and "k" not in algorithm.parameters
        for factor, counted, line in _factors(algorithm, p, given):
            loose = rough if factor == "alpha" else bound and not exact
            if abs(line - counted) > 1e-6 and not (loose and counted <= line <= 2 * counted):
                what = FACTORS[factor][0]
                raise PromiseBroken(
                    f"{algorithm}: the cost line must give {counted:g} {what} as the factor "
                    f"of {factor}, got {line:g} (p = {p}, n = {_nbytes(p)} bytes"
                    f"{_listed(given)}; `Cost: {algorithm.cost}`)",
                    f"counted on the critical path for p = {_row(algorithm, factor, given, ranks)}",
                )


def _nbytes(p: int) -> int:
    """Bytes of the vector: among p ranks, or the largest power of two, it is shared evenly."""
    return 48 * p << floor_lg(p)


def _factors(
    algorithm: Algorithm, p: int, given: Mapping[str, Any]
) -> Iterator[tuple[str, float, float]]:
    """Each factor as it is counted, and as the line has it."""
    for factor, (_, clock) in FACTORS.items():
        try:
            line = predicted_time(algorithm, p, _nbytes(p), clock, **given)
        except ArgumentError as error:
            raise PromiseBroken(
                str(error).rpartition("; ")[0],
                "write arithmetic in p, n, alpha, beta and gamma, like 2*(p-1)*(alpha + n/p*beta)",
            ) from error
        if factor == "gamma" and algorithm.primitive not in REDUCTIONS:
            yield factor, 0, line
        else:
            yield factor, _counted(algorithm, factor, p, given), line


def _counted(algorithm: Algorithm, factor: str, p: int, given: Mapping[str, Any]) -> float:
    dtype = BYTES_OF_FLOATS
    n = 0 if algorithm.primitive == "barrier" else _nbytes(p) // dtype.itemsize
    problem = Problem(algorithm.primitive, p, n, 0, dtype)
    phantoms = [problem.phantoms(rank) for rank in range(p)]
    clock = FACTORS[factor][1]
    return simulator(algorithm, problem, phantoms, False, True, Machine(clock), given).run().time


def _row(algorithm: Algorithm, factor: str, given: Mapping[str, Any], ranks: list[int]) -> str:
    some = [p for p in ranks if 1 < p <= 9][:6] or ranks[:1]
    counted = [f"{_counted(algorithm, factor, p, given):g}" for p in some]
    return f"{', '.join(map(str, some))}: {', '.join(counted)}"


def _listed(given: Mapping[str, Any]) -> str:
    return "".join(f", {name} = {value}" for name, value in given.items())
