"""Evaluate the `Cost:` line of an algorithm's docstring.

A cost line is arithmetic in p (ranks), n (bytes of the whole vector), alpha,
beta, gamma and the algorithm's own parameters, with `lg` (base 2), `log(x, base)`,
`ceil`, `floor`, `max`, `min`, `fold(p)`, which is 1 if p is not a power of two, else
0, `rows(p)`, those of the most nearly square grid of p ranks, and `ratios(p)`, by which
the powers of two that p is the sum of differ. It holds for
root 0 and evenly divided vectors. Rounds are exact for every p, bytes and work
for powers of two; for other p these two may be upper bounds, which the docstring
then says. Where it says that all factors are upper bounds, rounds are no
exception.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from collectives.algorithms.pipeline import default_segments
from collectives.algorithms.ranks import ratios, rows
from collectives.algorithms.registry import GROUP, Algorithm
from collectives.engines.simulator import Clock
from collectives.nodes import SIMULATED

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
    """Seconds that the cost line gives for `nbytes` on `p` ranks."""
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
    if names.get("segments", 1) is None:
        names["segments"] = default_segments(p - 1, nbytes)
    if names.get(GROUP, 1) is None:
        names[GROUP] = SIMULATED
    return float(eval(algorithm.cost, {"__builtins__": {}}, names))
