"""Tables of choices: which candidate of `auto` is cheapest, for ranks, nodes and lengths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache

from collectives import checks
from collectives.algorithms.language.registry import PREFIXES, PRIMITIVES, REDUCTIONS, REGISTRY
from collectives.choice import Place, Ranges, written
from collectives.machine.model import Machine
from collectives.machine.placed import BLOCK
from collectives.machine.spec import machine as made
from collectives.study.curves import STRAIGHT, Curve
from collectives.study.pricing import DECLARED_CLOCK, TooLong, price

# What the declared table was made for: the ranks of one node, and nodes on 25 Gbit/s Ethernet
# whose ranks share a NIC. A message takes the library's own round, and the wire's latency.
DECLARED = Machine(DECLARED_CLOCK)
CLUSTER = made("nodes:x8,nic=25G,latency=15us,near_latency=5us,near_rate=5 GB/s,gamma=0.06ns")

# The rows of the declared table: ranks of one node; nodes, and ranks on each.
RANKS = (*range(2, 17), 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
UP_TO_32 = [(q, 2**k) for q in (2, 4, 8, 16, 32) for k in range(5) if q * 2**k <= 32]
PLACES = (*UP_TO_32, (4, 16), (8, 8), (16, 4), (8, 16), (16, 8), (16, 16), (32, 8))

# Lengths that are compared: powers of two between these.
SMALLEST, LARGEST = 8, 2**32
STEP = 4

# A table of so many rows is made by several processes.
MANY = 40

# Prices so near each other are a tie, and the candidate that comes first wins it: no
# machine keeps to the model more closely than that.
TIE = 1.15

# What `auto` chooses from: algorithms for every p, every root and any lengths, with the
# parameters that they have by default. Of equals the one with fewer local copies comes
# first, which the model takes to be free, then the simpler one. Left out are those that
# need to know where the ranks are, which `ON_NODES` has, and those that reduce much more
# often than others to save a message (gather_all): the model takes the reduction of a short
# vector to be free, too.
CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "barrier": ("recursive_doubling", "recursive_exchange", "tree"),
    "bcast": ("tree", "ring", "recursive_doubling", "circulant", "double_tree", "split_binary"),
    "scatter": ("naive", "tree"),
    "gather": ("naive", "tree"),
    "allgather": ("recursive_doubling", "ring", "circulant", "neighbor_exchange"),
    "reduce": ("tree", "ring", "rabenseifner", "recursive_doubling", "circulant", "double_tree"),
    "allreduce": (
        *("recursive_doubling", "ring", "rabenseifner", "circulant", "elimination"),
        *("tree", "double_tree", "dual_root"),
    ),
    "reduce_scatter": (
        *("pairwise", "naive", "ring", "recursive_halving", "circulant"),
        *("recursive_doubling", "tree"),
    ),
    "alltoall": ("naive", "recursive_doubling", "circulant", "k_bruck"),
    "scan": ("tree", "recursive_doubling", "ring", "pipelined_tree"),
    "exscan": ("recursive_doubling", "123_doubling", "ring", "tree", "pipelined_tree"),
}

# What is added where ranks are on several nodes: what is faster there by more than a tie for
# some length on 4 nodes with 4 or 8 ranks each. Algorithms with two levels keep the order
# of the ranks only where those of a node are neighbours, which is not known when a row is made.
ON_NODES: Mapping[str, tuple[str, ...]] = {
    "bcast": ("hierarchical_pipelined", "scatter_ring_allgather", "sag_knomial"),
    "allgather": ("bine", "split_rail"),
    "allreduce": ("generalised", "swing", "split_rail", "split_rail_pipelined", "hierarchical"),
    "reduce_scatter": ("bine", "split_rail"),
    "alltoall": ("bine", "two_step", "hypercube"),
    "scan": ("recursive_exchange", "hierarchical"),
    "exscan": ("recursive_exchange", "hierarchical"),
}


def candidates(primitive: str, commutative: bool = True, nodes: bool = False) -> tuple[str, ...]:
    """What `auto` chooses from, for operators that commute, or for all.

    With `nodes` it is where ranks are on several of them. Of equals a ring comes first there:
    each wire has one message at a time, so it suffers least from what the model leaves out.
    """
    table = REGISTRY[primitive]
    names = CANDIDATES[primitive]
    if nodes:
        names += ON_NODES.get(primitive, ())
        names = tuple(sorted(names, key=lambda name: name != "ring"))
    if commutative:
        return names
    mixed = [name for name in names if table[name].needs_groups and primitive not in PREFIXES]
    return tuple(name for name in names if not table[name].commutative and name not in mixed)


def several(machine: Machine, p: int) -> bool:
    """Whether p ranks are on several nodes of the machine."""
    return machine.many(p) > 1


def prices(
    primitive: str, p: int, n: int, machine: Machine, commutative: bool = True
) -> dict[str, float]:
    """The price of each candidate in seconds, cheapest first; of equals the first listed."""
    found = {}
    for name in candidates(primitive, commutative, several(machine, p)):
        with suppress(TooLong):
            found[name] = price(primitive, name, p, n, machine)
    return {name: found[name] for name in sorted(found, key=found.__getitem__)}


def cheapest(primitive: str, p: int, n: int, machine: Machine, commutative: bool = True) -> str:
    """The candidate with the least price; in a tie the one listed first."""
    return Contest(primitive, p, machine, commutative).cheapest(n)


class Contest:
    """The candidates for a primitive on p ranks, for vectors of any length.

    Those that cannot be the cheapest are not priced.
    """

    def __init__(self, primitive: str, p: int, machine: Machine, commutative: bool = True):
        self.primitive = primitive
        order = candidates(primitive, commutative, several(machine, p))
        self.curves = [Curve(primitive, name, p, machine) for name in order]

    @property
    def estimated(self) -> bool:
        """Whether a price that was compared is an estimate."""
        return any(curve.estimated for curve in self.curves)

    def cheapest(self, n: int) -> str:
        """The candidate with the least price for n bytes; in a tie the one listed first."""
        found: dict[str, float] = {}
        for curve in sorted(self.curves, key=lambda one: one.at_least(n)):
            if found and curve.at_least(n) > TIE * min(found.values()):
                break
            found[curve.name] = curve.at(n)
        limit = TIE * (1 - 2 * STRAIGHT) * min(found.values())
        names = [curve.name for curve in self.curves]
        return next((name for name in names if found.get(name, math.inf) <= limit), names[0])


def ranges(
    primitive: str, p: int, machine: Machine, commutative: bool = True, largest: int = LARGEST
) -> Ranges:
    """The cheapest candidate for every length: from how many bytes on, and which.

    Every sixteenfold length is looked at, and between two that differ in their cheapest
    candidate those that show where it changes.
    """
    return _changes(Contest(primitive, p, machine, commutative), largest)


def _changes(contest: Contest, largest: int) -> Ranges:
    """From how many bytes on which candidate is the cheapest."""
    if contest.primitive == "barrier":
        return [(0, contest.cheapest(0))]
    sizes = [SMALLEST << shift for shift in range((largest // SMALLEST).bit_length())]

    @cache
    def at(place: int) -> str:
        return contest.cheapest(sizes[place])

    def changes(low: int, high: int) -> Iterable[int]:
        """The places between two where the cheapest changes, from the coarse to the fine."""
        if at(low) == at(high) and high - low <= STEP:
            return []
        middle = (low + high) // 2
        return [high] if middle == low else [*changes(low, middle), *changes(middle, high)]

    found = changes(0, len(sizes) - 1)
    return [(0, at(0)), *[(sizes[place], at(place)) for place in found]]


def on(machine: Machine, nodes: int, ranks: int) -> Machine:
    """A machine of which so many nodes have so many ranks each, the others none."""
    if machine.network is None or nodes * ranks == machine.p:
        return machine
    nics = min(machine.nics, ranks)
    return replace(machine, ranks=ranks, nics=nics, placement=BLOCK)


def places_of(machine: Machine, ranks: Sequence[int] = ()) -> list[Place]:
    """The rows of a table for a machine: those for so many ranks, or those that it has room for."""
    if machine.network is None:
        return [(1, p) for p in ranks or RANKS]
    if ranks:
        return [(-(-p // machine.ranks), min(p, machine.ranks)) for p in ranks]
    most = machine.network.nodes or 8
    nodes = sorted({1, *[2**k for k in range(1, most.bit_length()) if 2**k <= most], most})
    on_each = sorted({2**k for k in range(machine.ranks.bit_length())} | {machine.ranks})
    return [(q, r) for q in nodes for r in on_each if q * r > 1]


def table_text(
    machine: Machine,
    ranks: Sequence[int] = (),
    primitives: Sequence[str] = PRIMITIVES,
    cluster: Machine | None = None,
    largest: int = LARGEST,
) -> str:
    """A table of choices as text, as `choice.read` reads it.

    Parameters
    ----------
    machine : Machine
        What the rows are for.
    ranks : sequence of int, optional
        Rows for so many ranks; for those of the declared table, or all that there is room for.
    primitives : sequence of str
    cluster : Machine, optional
        Further rows, for several nodes.
    largest : int
        Bytes of the longest vector for which prices are compared, or up to twice as many: the
        lengths are powers of two.

    Raises
    ------
    ArgumentError
        One of them is out of its range.
    """
    checks.instance("table", "machine", machine, Machine)
    checks.integer("table", "the longest vector", largest, SMALLEST)
    largest = 1 << (largest - 1).bit_length()
    places = places_of(machine, [checks.ranks("table", p) for p in ranks])
    wanted = [(machine, place) for place in places]
    if cluster is not None:
        wanted += [(cluster, place) for place in PLACES]
    jobs = [(name, place, on(one, *place), largest) for name in primitives for one, place in wanted]
    orders: dict[bool, dict[str, dict[Place, Ranges]]] = {True: {}, False: {}}
    estimated = False
    for (primitive, place, *_), found in zip(jobs, _rows(jobs)):
        for commutative, (row, some) in found.items():
            orders[commutative].setdefault(primitive, {})[place] = row
            estimated |= some
    nodes = machine if machine.network is not None else cluster
    return written(machine, nodes, largest, orders[True], orders[False], estimated)


Job = tuple[str, Place, Machine, int]
Found = dict[bool, tuple[Ranges, bool]]  # and whether prices are estimates


def _rows(jobs: Sequence[Job]) -> Iterable[Found]:
    """The rows of all jobs, in their order; by several processes those that take longest first."""
    if len(jobs) < MANY:
        return map(_row, jobs)
    with ProcessPoolExecutor() as pool:
        order = sorted(range(len(jobs)), key=lambda i: -math.prod(jobs[i][1]))
        found = dict(zip(order, pool.map(_row, [jobs[i] for i in order])))
    return [found[i] for i in range(len(jobs))]


def _row(job: Job) -> Found:
    """The rows for operators that commute, and for all; their prices are the same."""
    primitive, (nodes, each), machine, largest = job
    orders = [True, False] if primitive in REDUCTIONS else [True]
    found: Found = {}
    for order in orders:
        contest = Contest(primitive, nodes * each, machine, order)
        found[order] = _changes(contest, largest), contest.estimated
    return found
