"""What an algorithm costs: by the `Cost:` line of its docstring, or counted.

A cost line is arithmetic in p (ranks), n (bytes of the whole vector), alpha,
beta, gamma and the algorithm's own parameters, with `lg` (base 2), `log(x, base)`,
`ceil`, `floor`, `max`, `min`, `fold(p)`, which is 1 if p is not a power of two, else
0, `rows(p)`, those of the most nearly square grid of p ranks, `ratios(p)`, by which
the powers of two that p is the sum of differ, and in lossy algorithms `packet(n)`, the
bytes of a packet for n bytes of float32. It holds for
root 0 and evenly divided vectors. The factor of alpha, the messages on the critical
path, is exact for every p; those of beta and gamma, bytes and work, are exact for powers
of two. For other p these two may be upper bounds, which the docstring then says. Where
it says that all factors are upper bounds, that of alpha is no exception.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from collectives import checks
from collectives.algorithms.language.codecs import CODECS, codec_for
from collectives.algorithms.language.memory import phantom
from collectives.algorithms.language.ranks import ratios, rows
from collectives.algorithms.language.registry import GROUP, Algorithm
from collectives.errors import ArgumentError
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.nodes import SIMULATED
from collectives.study.simulation import BYTES_OF_FLOATS, simulate

# alpha / beta, in bytes, for which pipelines choose their segments.
ALPHA_IN_BYTES = 8192

_FUNCTIONS: Mapping[str, Any] = {
    "lg": math.log2,
    "log": lambda x, base: round(math.log(x, base), 9),  # of 125 to base 5 it is 3
    "ceil": math.ceil,
    "floor": math.floor,
    "max": max,
    "min": min,
    "rows": rows,
    "ratios": ratios,
    "fold": lambda p: int(p & (p - 1) != 0),
}


def predicted_time(
    algorithm: Algorithm, p: int, nbytes: int, clock: Clock, **parameters: Any
) -> float:
    """Seconds that the cost line gives for `nbytes` on `p` ranks.

    Where an algorithm chooses its number of segments itself, so does the line, nearly
    alike: the best if alpha is the time of `ALPHA_IN_BYTES` bytes.
    """
    p = checks.ranks(str(algorithm), p)
    nbytes = checks.integer(str(algorithm), "the number of bytes", nbytes)
    names = {
        **_FUNCTIONS,
        **algorithm.parameters,
        **parameters,
        "p": p,
        "n": nbytes,
        "alpha": clock.alpha,
        "beta": clock.beta,
        "gamma": clock.gamma,
    }
    if "codec" in algorithm.parameters:
        names["packet"] = partial(_packet_bytes, names)
    if names.get(GROUP, 1) is None:
        names[GROUP] = SIMULATED
    try:
        if names.get("segments", 1) is None:
            names["segments"] = _best_segments(algorithm.cost, names)
        return _evaluate(algorithm.cost, names)
    except (ArithmeticError, NameError, SyntaxError, TypeError, ValueError) as error:
        why = error.msg if isinstance(error, SyntaxError) else error
        raise ArgumentError(
            f"{algorithm}: needs a line `Cost:` in its docstring that can be computed, got "
            f"{algorithm.cost!r} ({why}); correct it"
        ) from None


def _packet_bytes(names: Mapping[str, Any], nbytes: float) -> int:
    """Bytes of the packet for so many bytes, by the codec among the parameters."""
    name = names["codec"]
    options = {key: names[key] for key in CODECS[name].OPTIONS}
    codec = codec_for(phantom(0, BYTES_OF_FLOATS), name, rank=0, **options)
    return codec.nbytes(math.ceil(nbytes / BYTES_OF_FLOATS.itemsize), BYTES_OF_FLOATS)


def evaluated(formula: str, names: Mapping[str, Any]) -> float:
    """What a formula of ours gives, which may use the functions of a cost line."""
    return _evaluate(formula, {**_FUNCTIONS, **names})


def _evaluate(cost: str, names: Mapping[str, Any]) -> float:
    return float(eval(cost, {"__builtins__": {}}, dict(names)))


def _best_segments(cost: str, names: Mapping[str, Any]) -> int:
    """The bottom of a valley: few segments take long to arrive, many cost alpha too often."""

    def line(segments: int) -> float:
        clock = {"alpha": ALPHA_IN_BYTES, "beta": 1, "gamma": 0}
        return _evaluate(cost, {**names, **clock, "segments": segments})

    low, high = 1, max(1, names["n"])
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if line(middle) <= line(middle + 1) else (middle + 1, high)
    return low


@dataclass(frozen=True)
class Path:
    """The critical path through a run, the longest chain, for each term.

    Attributes
    ----------
    messages : int
        Messages, one after the other: the factor of alpha, the latency term.
    nbytes : int
        Bytes, message after message: the factor of beta, the bandwidth term.
    work : int
        Bytes of results, reduction after reduction: the factor of gamma, the
        computation term.
    """

    messages: int
    nbytes: int
    work: int


def critical_path(
    primitive: str, algorithm: str, p: int, n: int, machine: Machine | None = None
) -> Path:
    """The critical path of each term, counted from the rounds that run.

    Parameters
    ----------
    primitive, algorithm : str
        As in `collectives.find`.
    p : int
        Number of ranks.
    n : int
        Bytes of the whole vector.
    machine : Machine, optional
        Its nodes are those of algorithms with two levels.
    """
    nodes = machine or Machine()
    clocks = Clock(1, 0, 0), Clock(0, 1, 0), Clock(0, 0, 1)
    return Path(
        *[
            round(simulate(primitive, algorithm, p=p, n=n, topology=nodes.under(clock)).time)
            for clock in clocks
        ]
    )
