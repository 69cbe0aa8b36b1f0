"""Evaluate the `Cost:` line of an algorithm's docstring.

A cost line is arithmetic in p (ranks), n (bytes of the whole vector), alpha,
beta, gamma and the algorithm's own parameters, with `lg` (base 2), `ceil`,
`floor` and `fold(p)`, which is 1 if p is not a power of two, else 0. It holds for
root 0 and evenly divided vectors. Rounds are exact for every p, bytes and work
for powers of two; for other p these two may be upper bounds, which the docstring
then says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from collectives.algorithms.pipeline import default_segments
from collectives.algorithms.registry import Algorithm
from collectives.engines.simulator import Clock

_FUNCTIONS: Mapping[str, Any] = {
    "lg": math.log2,
    "ceil": math.ceil,
    "floor": math.floor,
    "max": max,
    "min": min,
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
    return float(eval(algorithm.cost, {"__builtins__": {}}, names))
