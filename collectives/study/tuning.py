"""Other values of an algorithm's parameters, where it is cheap to try them."""

from __future__ import annotations

from contextlib import suppress

from collectives.algorithms.language.registry import GROUP, LEAST, TOPOLOGY
from collectives.catalogue import find
from collectives.errors import CollectiveError
from collectives.machine.model import Machine
from collectives.study.pricing import price

# What is tried: powers of two up to this, as far as that makes it faster.
MOST = 1024

# A change that gains less is not worth a name.
GAIN = 1.02


def tuned(primitive: str, name: str, p: int, n: int, machine: Machine) -> list[str]:
    """The algorithm, and beside it the same with the best value of each parameter.

    Tried are numbers, one parameter at a time, upwards from the least until twice in a row
    nothing is gained. Seeds are not, nor who is in which group.
    """
    algorithm, given = find(primitive, name)
    if given:  # the caller has tuned it
        return [name]
    best, found = name, float("inf")
    with suppress(CollectiveError):
        found = usual = price(primitive, name, p, n, machine)
        for key, default in algorithm.parameters.items():
            if key in (GROUP, TOPOLOGY, "seed") or not (default is None or type(default) is int):
                continue
            value, worse = LEAST.get(key, 1), 0
            while value <= MOST and worse < 2:
                spec = f"{name}:{key}={value}"
                try:
                    cost = price(primitive, spec, p, n, machine)
                except CollectiveError:
                    break
                worse = 0 if cost < found else worse + 1
                if cost < found:
                    best, found = spec, cost
                value = max(2 * value, 1)
        if best != name and usual < GAIN * found:
            return [name]
    return [name] if best == name else [name, best]
