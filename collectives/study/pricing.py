"""What algorithms cost by the model, and the table of choices that follows.

A price is the time of the simulated run under the given clock: the critical path
through all messages and reductions. Beyond `COUNTED` ranks, where that takes long, it
is the time that the cost line gives, which tests hold against the simulated runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise

from collectives import checks
from collectives.algorithms.language.registry import PRIMITIVES, REDUCTIONS, REGISTRY
from collectives.catalogue import find
from collectives.choice import Ranges, Rows, written
from collectives.machine.clock import Clock
from collectives.problems import BLOCKWISE
from collectives.study.cost import predicted_time
from collectives.study.simulation import simulate

# The clock of the declared table: a round of the library through the shared memory of
# a small machine, and numpy's addition of float64, which takes 0.05 ns a byte in the cache
# and twice that beyond it.
DECLARED_CLOCK = Clock(alpha=5e-6, beta=2e-10, gamma=6e-11)

# The rows of the declared table.
RANKS = (*range(2, 17), 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
COUNTED = 16

# Lengths that are compared: powers of two between these.
SMALLEST, LARGEST = 8, 2**24

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


def evenly(primitive: str, p: int, n: int) -> int:
    """`n` bytes or a few more, so that blocks are equal and have whole elements of 8 bytes."""
    unit = 8 * p if primitive in BLOCKWISE else 8
    return -(-n // unit) * unit if primitive != "barrier" else 0


@cache
def price(primitive: str, spec: str, p: int, n: int, clock: Clock) -> float:
    """Seconds that an algorithm takes by the model, for n bytes of the whole vector on p ranks."""
    if p <= COUNTED:
        return simulate(primitive, spec, p=p, n=n, clock=clock).time
    algorithm, parameters = find(primitive, spec)
    return predicted_time(algorithm, p, n, clock, **parameters)


def prices(
    primitive: str, p: int, n: int, clock: Clock, commutative: bool = True
) -> dict[str, float]:
    """The price of each candidate in seconds, cheapest first; of equals the first listed."""
    names = candidates(primitive, commutative)
    n = evenly(primitive, p, n)
    found = {name: price(primitive, name, p, n, clock) for name in names}
    return {name: found[name] for name in sorted(names, key=found.__getitem__)}


def cheapest(primitive: str, p: int, n: int, clock: Clock, commutative: bool = True) -> str:
    """The candidate with the least price; in a tie the one listed first."""
    found = prices(primitive, p, n, clock, commutative)
    limit = TIE * min(found.values())
    return next(name for name in candidates(primitive, commutative) if found[name] <= limit)


def ranges(primitive: str, p: int, clock: Clock, commutative: bool = True) -> Ranges:
    """The cheapest candidate for every length: from how many bytes on, and which.

    Every fourth power of two is priced, and between two that differ in their
    cheapest candidate those that show where it changes.
    """
    if primitive == "barrier":
        return [(0, cheapest(primitive, p, 0, clock))]
    sizes = [SMALLEST << shift for shift in range((LARGEST // SMALLEST).bit_length())]

    @cache
    def at(place: int) -> str:
        return cheapest(primitive, p, sizes[place], clock, commutative)

    def refined(low: int, high: int) -> Iterable[int]:
        """The places between two where the cheapest changes."""
        if at(low) == at(high):
            return []
        middle = (low + high) // 2
        return [high] if middle == low else [*refined(low, middle), *refined(middle, high)]

    stops = [*range(0, len(sizes) - 1, 4), len(sizes) - 1]
    changes = [place for low, high in pairwise(stops) for place in refined(low, high)]
    return [(0, at(0)), *[(sizes[place], at(place)) for place in changes]]


def table_text(
    clock: Clock, ranks: Sequence[int] = RANKS, primitives: Sequence[str] = PRIMITIVES
) -> str:
    """A table of choices as text, as `choice.read` reads it."""
    checks.instance("table", "clock", clock, Clock)
    ranks = [checks.ranks("table", p) for p in ranks]
    any_order: dict[str, Rows] = {}
    in_order: dict[str, Rows] = {}
    for primitive in primitives:
        any_order[primitive] = {p: ranges(primitive, p, clock) for p in ranks}
        if primitive in REDUCTIONS:
            in_order[primitive] = {p: ranges(primitive, p, clock, False) for p in ranks}
    return written(clock, any_order, in_order)
