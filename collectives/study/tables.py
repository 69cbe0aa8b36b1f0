"""Tables of choices: which candidate of `auto` is cheapest, for ranks, nodes and lengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

from collectives import checks
from collectives.algorithms.language.registry import PRIMITIVES, REDUCTIONS, REGISTRY
from collectives.choice import Place, Ranges, Rows, written
from collectives.machine.model import Machine
from collectives.machine.spec import machine as made
from collectives.study.pricing import DECLARED_CLOCK, evenly, price, simplified

# What the declared table was made for: the ranks of one node, and nodes on 25 Gbit/s Ethernet
# whose ranks share a NIC. A message takes the library's own round, and the wire's latency.
DECLARED = Machine(DECLARED_CLOCK)
CLUSTER = made("nodes:x8,nic=25G,latency=15us,near_latency=5us,near_rate=5 GB/s,gamma=0.06ns")

# The rows of the declared table: ranks of one node; nodes, and ranks on each.
RANKS = (*range(2, 17), 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
NODES, ON_EACH = (2, 4, 8), (1, 2, 4, 8)

# Lengths that are compared: powers of two between these.
SMALLEST, LARGEST = 8, 2**32

# Prices so near each other are a tie, and the candidate that comes first wins it: no
# machine keeps to the model more closely than that.
TIE = 1.1

# What `auto` chooses from: algorithms for every p, every root and any lengths, with the
# parameters that they have by default. Of equals the one with fewer local copies comes
# first, which the model takes to be free, then the simpler one. Left out are those that
# need to know where the ranks are (hierarchical), and those that reduce much more often
# than others to save a message (gather_all): the model takes the reduction of a short
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


def candidates(primitive: str, commutative: bool = True) -> tuple[str, ...]:
    """What `auto` chooses from, for operators that commute, or for all."""
    table = REGISTRY[primitive]
    names = CANDIDATES[primitive]
    return tuple(name for name in names if commutative or not table[name].commutative)


def prices(
    primitive: str, p: int, n: int, machine: Machine, commutative: bool = True
) -> dict[str, float]:
    """The price of each candidate in seconds, cheapest first; of equals the first listed."""
    names = candidates(primitive, commutative)
    n = evenly(primitive, p, n)
    found = {name: price(primitive, name, p, n, machine) for name in names}
    return {name: found[name] for name in sorted(names, key=found.__getitem__)}


def cheapest(primitive: str, p: int, n: int, machine: Machine, commutative: bool = True) -> str:
    """The candidate with the least price; in a tie the one listed first."""
    found = prices(primitive, p, n, machine, commutative)
    limit = TIE * min(found.values())
    return next(name for name in candidates(primitive, commutative) if found[name] <= limit)


def ranges(primitive: str, p: int, machine: Machine, commutative: bool = True) -> Ranges:
    """The cheapest candidate for every length: from how many bytes on, and which.

    Every fourth power of two is priced, and between two that differ in their
    cheapest candidate those that show where it changes.
    """
    if primitive == "barrier":
        return [(0, cheapest(primitive, p, 0, machine))]
    sizes = [SMALLEST << shift for shift in range((LARGEST // SMALLEST).bit_length())]

    @cache
    def at(place: int) -> str:
        return cheapest(primitive, p, sizes[place], machine, commutative)

    def refined(low: int, high: int) -> Iterable[int]:
        """The places between two where the cheapest changes."""
        if at(low) == at(high):
            return []
        middle = (low + high) // 2
        return [high] if middle == low else [*refined(low, middle), *refined(middle, high)]

    stops = [*range(0, len(sizes) - 1, 4), len(sizes) - 1]
    changes = [place for low, high in pairwise(stops) for place in refined(low, high)]
    return [(0, at(0)), *[(sizes[place], at(place)) for place in changes]]


def rows_of(
    primitive: str, machine: Machine, places: Sequence[Place], commutative: bool = True
) -> Rows:
    """The cheapest for every length, for nodes with so many ranks on each."""
    return {
        (nodes, ranks): ranges(primitive, nodes * ranks, on(machine, nodes, ranks), commutative)
        for nodes, ranks in places
    }


def on(machine: Machine, nodes: int, ranks: int) -> Machine:
    """A machine of which so many nodes have so many ranks each, the others none."""
    if machine.network is None or nodes * ranks == machine.p:
        return machine
    checks.integer("table", "nodes", nodes, 1, machine.network.nodes or nodes)
    seats = [node * ranks + seat for node in range(nodes) for seat in range(ranks)]
    nics = min(machine.nics, ranks)
    grown = replace(machine, ranks=ranks, nics=nics, placement=tuple(seats))
    return grown


def places_of(machine: Machine, ranks: Sequence[int] = ()) -> list[Place]:
    """The rows of a table for a machine: those for so many ranks, or those that it has room for."""
    if machine.network is None:
        return [(1, p) for p in ranks or RANKS]
    if ranks:
        return [(-(-p // machine.ranks), min(p, machine.ranks)) for p in ranks]
    most = machine.network.nodes or max(NODES)
    nodes = sorted({1, *[2**k for k in range(1, most.bit_length()) if 2**k <= most], most})
    on_each = sorted({2**k for k in range(machine.ranks.bit_length())} | {machine.ranks})
    return [(q, r) for q in nodes for r in on_each if q * r > 1]


def table_text(
    machine: Machine,
    ranks: Sequence[int] = (),
    primitives: Sequence[str] = PRIMITIVES,
    cluster: Machine | None = None,
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
    """
    checks.instance("table", "machine", machine, Machine)
    several = places_of(machine, [checks.ranks("table", p) for p in ranks])
    far = [(q, r) for q in NODES for r in ON_EACH] if cluster is not None else []

    def rows(primitive: str, commutative: bool) -> Rows:
        found = dict(rows_of(primitive, machine, several, commutative))
        if cluster is not None:
            found |= rows_of(primitive, cluster, far, commutative)
        return found

    any_order = {primitive: rows(primitive, True) for primitive in primitives}
    in_order = {primitive: rows(primitive, False) for primitive in primitives if primitive in REDUCTIONS}
    return written(machine, cluster, LARGEST, any_order, in_order)
