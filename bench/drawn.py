"""A table of choices drawn from times that were measured: the rows of these ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from collectives.algorithms.language.registry import REDUCTIONS
from collectives.choice import DECLARED, Place, Ranges, Rows, parse, read, written
from collectives.study.tables import candidates

# The one before stays as long as no other is faster by more than this, which may be noise.
NOISE = 1.05


def ranges(times: Mapping[str, Sequence[float]], sizes: Sequence[int]) -> Ranges:
    """The fastest for every length: from how many bytes on, and which.

    Between two lengths that were measured it changes in the middle, on a scale of factors.

    Parameters
    ----------
    times : mapping
        Of each candidate, for each length.
    sizes : sequence of int
        Bytes of the whole vector, growing.

    Examples
    --------
    >>> ranges({"tree": [1.0, 4.0], "ring": [3.0, 2.0]}, [100, 10000])
    [(0, 'tree'), (1000, 'ring')]
    """
    found: Ranges = []
    for place, size in enumerate(sizes):
        fastest = min(times, key=lambda name: times[name][place])
        if not found:
            found.append((0, fastest))
        elif times[found[-1][1]][place] > NOISE * times[fastest][place]:
            found.append((math.isqrt(sizes[place - 1] * size), fastest))
    return found


def drawn(
    path: Path,
    place: Place,
    times: Mapping[str, Mapping[str, Sequence[float]]],
    sizes: Mapping[str, Sequence[int]],
) -> str:
    """The text of a table with the rows of a place; other rows are those that the file has.

    Parameters
    ----------
    path : Path
        A file that has been written before, with fewer ranks perhaps, or that there is not.
    place : (int, int)
        Nodes, and ranks on each.
    times : mapping
        By primitive, candidate and length.
    sizes : mapping
        The lengths of each primitive.
    """
    before = parse(path.name, path.read_text(encoding="utf-8")) if path.exists() else None
    any_order = _rows(before.any_order if before else {})
    in_order = _rows(before.in_order if before else {})
    for primitive, found in times.items():
        any_order.setdefault(primitive, {})[place] = ranges(found, sizes[primitive])
        if primitive in REDUCTIONS:
            names = candidates(primitive, False, place[0] > 1)
            some = {name: found[name] for name in found if name in names}
            in_order.setdefault(primitive, {})[place] = ranges(some, sizes[primitive])
    longest = max(size for some in sizes.values() for size in some)
    machines = before or read(str(DECLARED))  # whose prices `why` tells
    reach = max(longest, before.longest if before else 0)
    return written(machines.node, machines.cluster, reach, any_order, in_order)


def _rows(some: Mapping[str, Rows]) -> dict[str, dict[Place, Ranges]]:
    return {primitive: dict(rows) for primitive, rows in some.items()}
