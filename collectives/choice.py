"""Which algorithm `auto` is: a table says so, by ranks and bytes.

Nothing is computed or measured in a call. The table is data, `choice.json`, made by
``python -m collectives table --write`` from the cost model, and printed by ``table`` and
``why``. All ranks know what it is asked for - p, the length of the whole vector, whether
the operator commutes - so all find the same algorithm. COLLECTIVES_TABLE in the
environment names another table, made for another machine.
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from collectives.algorithms.language.registry import AUTO, Algorithm
from collectives.catalogue import check_restrictions, find
from collectives.errors import ArgumentError
from collectives.machine.model import Machine
from collectives.machine.spec import from_keys
from collectives.machine.writing import keys_of
from collectives.units import format_bytes

ENVIRONMENT = "COLLECTIVES_TABLE"
DECLARED = Path(__file__).with_name("choice.json")

ESTIMATES = "Some prices are estimates, within a few per cent for most algorithms."

# From how many bytes on, and which algorithm; in the order of the bytes, from 0.
Ranges = list[tuple[int, str]]

# Nodes, and ranks on each. A row for ranks of which nothing is known is that of one node.
Place = tuple[int, int]
Rows = Mapping[Place, Ranges]


@dataclass(frozen=True)
class Choices:
    """A table of choices.

    Attributes
    ----------
    title, digest : str
        The file's name, and a number that tells tables apart.
    node, cluster : Machine
        What it was made for: its rows for one node, and those for several, if it has some.
    longest : int
        The longest vectors that its rows are for, in bytes.
    estimated : bool
        Whether some of the prices that were compared are estimates, and not of simulated runs.
    any_order, in_order : mapping
        Rows of each primitive; those in order are for operators that do not commute.
    """

    title: str
    digest: str
    node: Machine
    cluster: Machine | None
    longest: int
    estimated: bool
    any_order: Mapping[str, Rows]
    in_order: Mapping[str, Rows]

    @property
    def declared(self) -> bool:
        """Whether it is the library's own."""
        return self is read(str(DECLARED))

    @property
    def reach(self) -> str:
        """For which lengths it was made, and from what prices, in words."""
        words = (
            f"Made for vectors of at most {format_bytes(self.longest)}; longer ones take the last "
            "algorithm of their row."
        )
        return f"{words}\n{ESTIMATES}" if self.estimated else words

    @property
    def name(self) -> str:
        """The same for the same table, on all ranks."""
        return f"{self.title} {self.digest}"

    def row(
        self, primitive: str, p: int, commutative: bool = True, nodes: int = 1
    ) -> tuple[Place, Ranges]:
        """The row for p ranks on so many nodes, and whose it is.

        Ranks of one node that have none take the row of the next smaller p of their kind, powers
        of two or not, and if there is none, that of the smallest. Of several nodes it is the row
        with the next fewer nodes, then with the next fewer ranks on each.

        Raises
        ------
        ArgumentError
            The table has nothing for this primitive.
        """
        rows = (self.any_order if commutative else self.in_order).get(primitive)
        rows = rows or self.any_order.get(primitive)
        if not rows:
            raise ArgumentError(
                f"{primitive}.{AUTO}: needs rows for {primitive} in the table {self.name}, got "
                f"{', '.join(self.any_order) or 'none'}; make one for all primitives"
            )
        place = _nearest(rows, nodes, -(-p // nodes)) if nodes > 1 else None
        if place is None:
            place = _of_one_node(rows, p)
        return place, rows[place]

    def spec(
        self, primitive: str, p: int, nbytes: int, commutative: bool = True, nodes: int = 1
    ) -> str:
        """The algorithm for `nbytes` of the whole vector on p ranks, as in `collectives.find`."""
        _, ranges = self.row(primitive, p, commutative, nodes)
        return ranges[bisect_right(ranges, nbytes, key=itemgetter(0)) - 1][1]


def _of_one_node(rows: Rows, p: int) -> Place:
    alone = [ranks for nodes, ranks in rows if nodes == 1]
    if not alone:  # a table for clusters only: one rank a node is what comes nearest
        return _nearest(rows, p, 1) or min(rows)
    if p in alone:
        return 1, p
    smaller = [q for q in alone if q < p and _power_of_two(q) == _power_of_two(p)]
    return 1, max(smaller, default=min(alone))


def _nearest(rows: Rows, nodes: int, ranks: int) -> Place | None:
    """The row for several nodes that comes nearest; None if there are only those for one."""
    several = {place[0] for place in rows if place[0] > 1}
    if not several:
        return None
    chosen = max([q for q in several if q <= nodes], default=min(several))
    each = [r for q, r in rows if q == chosen]
    return chosen, max([r for r in each if r <= ranks], default=min(each))


def decide(
    algorithm: Algorithm,
    parameters: Mapping[str, Any],
    p: int,
    nbytes: int,
    commutative: bool = True,
    nodes: int = 1,
) -> tuple[Algorithm, Mapping[str, Any]]:
    """`auto` becomes the algorithm that it stands for; any other stays what it is.

    Parameters
    ----------
    algorithm, parameters
        What `collectives.find` returned.
    p : int
        Number of ranks.
    nbytes : int
        Bytes of the whole vector; of all blocks of a rank together.
    commutative : bool
        Whether the operator, if there is one, commutes.
    nodes : int
        On how many nodes the ranks are.

    Raises
    ------
    ArgumentError
        COLLECTIVES_TABLE names no table, or one without this primitive.
    """
    if algorithm.name != AUTO:
        return algorithm, parameters
    spec = choices().spec(algorithm.primitive, p, nbytes, commutative, nodes)
    found, given = find(algorithm.primitive, spec)
    if found.lossy:
        raise ArgumentError(
            f"{algorithm}: needs a table of exact algorithms, got {spec} in {choices().name}; "
            "name a lossy algorithm in the call that may lose something"
        )
    check_restrictions(found, p, commutative)
    return found, given


def choices() -> Choices:
    """The table in force: that of the environment, or the declared one."""
    return read(os.environ.get(ENVIRONMENT) or str(DECLARED))


@cache
def read(path: str) -> Choices:
    """Read a table that ``python -m collectives table --write`` wrote.

    Raises
    ------
    ArgumentError
        There is no such file, or it is no table.
    """
    try:
        return parse(Path(path).name, Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(
            f"{ENVIRONMENT} needs a table of choices, got {path} ({error!r}); "
            "make one with python -m collectives table --write FILE"
        ) from None


def parse(title: str, text: str) -> Choices:
    """A table from its text; what is none raises one of Python's own errors."""
    content = json.loads(text)
    canonical = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    orders = [_rows(content[order]) for order in ("any_order", "in_order")]
    node = from_keys(content["node"])
    cluster = content["cluster"] and from_keys(content["cluster"])
    estimated = bool(content.get("estimated", False))  # none are in one of measured times
    return Choices(title, digest, node, cluster, int(content["longest"]), estimated, *orders)


def written(
    node: Machine,
    cluster: Machine | None,
    longest: int,
    any_order: Mapping[str, Rows],
    in_order: Mapping[str, Rows],
    estimated: bool = False,
) -> str:
    """A table as text, a row a line."""
    orders = {"any_order": any_order, "in_order": in_order}
    machines = {"node": keys_of(node), "cluster": cluster and keys_of(cluster)}
    parts = [f'"{name}": {json.dumps(keys)}' for name, keys in machines.items()]
    parts.append(f'"longest": {json.dumps(longest)}')
    if estimated:
        parts.append('"estimated": true')
    for order, primitives in orders.items():
        tables = [
            f'  "{primitive}": {{\n'
            + ",\n".join(
                f'   "{_written(place)}": {json.dumps(ranges)}' for place, ranges in rows.items()
            )
            + "\n  }"
            for primitive, rows in primitives.items()
        ]
        parts.append(f'"{order}": {{\n' + ",\n".join(tables) + "\n }")
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def _rows(content: Mapping[str, Any]) -> dict[str, Rows]:
    """Rows as they are in the file; ranges that do not begin at 0 are none."""
    found: dict[str, Rows] = {}
    for primitive, rows in content.items():
        found[primitive] = {_place(p): [(int(a), str(b)) for a, b in rows[p]] for p in rows}
        for ranges in found[primitive].values():
            starts = [start for start, _ in ranges]
            if starts[:1] != [0] or sorted(set(starts)) != starts:
                raise ValueError(f"{primitive}: ranges must begin at 0 and grow, got {starts}")
    return found


def _written(place: Place) -> str:
    """8 ranks on one node are "8", 8 on each of 4 are "4x8"."""
    nodes, ranks = place
    return str(ranks) if nodes == 1 else f"{nodes}x{ranks}"


def _place(text: str) -> Place:
    nodes, times, ranks = text.partition("x")
    return (int(nodes), int(ranks)) if times else (1, int(text))


def _power_of_two(p: int) -> bool:
    return p & (p - 1) == 0
