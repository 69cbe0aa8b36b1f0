"""What no algorithm can beat: lower bounds for latency, bandwidth and computation.

The model is that of the simulator. All ranks are alike and connected to all
others; a rank sends one message and receives one at a time (one-ported, full
duplex); alpha for a message, beta for a byte, gamma for a byte reduced. The bounds of
latency are in messages, one after the other, so time is counted in messages there.

The bounds assume what every algorithm here does: data moves as elements or as
reductions of elements of the same index, not coded or compressed, and of the
operator nothing is known but that it is associative and perhaps commutes. A lossy
algorithm does otherwise: it sends fewer bytes than an exact one must.

Each bound holds on its own, for every p, every root and blocks as even as n
allows. That one algorithm meets several of them at once is another matter:
`TOGETHER` says what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collectives import checks
from collectives.algorithms.language.pages import docstring
from collectives.algorithms.language.ranks import ceil_lg
from collectives.algorithms.language.registry import PRIMITIVES
from collectives.catalogue import algorithms_for

LATENCY, BANDWIDTH, COMPUTATION = TERMS = ("latency", "bandwidth", "computation")


@dataclass(frozen=True)
class Bound:
    """A lower bound on one term of the cost of a primitive.

    Attributes
    ----------
    term : str
        `latency`, the messages on the critical path; `bandwidth`, the bytes through the
        busiest port (what one rank sends, or what it receives); or `computation`, the
        bytes of results that the operator makes on the busiest rank.
    formula : str
        In p and n, as people write it.
    value : callable
        `value(p, n)` for p ranks and n elements of the whole vector; in elements,
        which are bytes if an element is one.
    argument, reference : str
        Why it holds, and where to read it: labels of `collectives.references`.
    """

    term: str
    formula: str
    value: Callable[[int, int], int]
    argument: str
    reference: str


# As `references` knows them.
BRUCK = "Bruck et al. 1997"
CHAN = "Chan et al. 2007"
HENSGEN = "Hensgen, Finkel, Manber 1988"
PATARASUK = "Patarasuk, Yuan 2009"
SNIR = "Snir 1986"

_BOUNDS: dict[str, dict[str, Bound]] = {primitive: {} for primitive in PRIMITIVES}


def bounds(primitive: str, p: int, n: int) -> dict[str, int]:
    """The lower bounds of a primitive, by term.

    Parameters
    ----------
    primitive : str
    p : int
        Number of ranks.
    n : int
        Elements of the whole vector; those of a byte each give bytes.

    Returns
    -------
    dict
        `latency`, `bandwidth` and `computation`, as far as the primitive has them.

    Raises
    ------
    UnknownAlgorithm
        There is no such primitive.
    ArgumentError
        p or n is out of its range.

    Examples
    --------
    >>> bounds("allreduce", p=12, n=1200)
    {'latency': 4, 'bandwidth': 2200, 'computation': 1100}
    """
    p, n = checks.ranks(primitive, p), checks.integer(primitive, "the number of elements n", n)
    return {term: bound.value(p, n) for term, bound in bounds_of(primitive).items()}


def bounds_of(primitive: str) -> Mapping[str, Bound]:
    """The lower bounds of a primitive with their formulas and arguments, by term."""
    algorithms_for(primitive)  # raises if there is no such primitive
    return _BOUNDS[primitive]


def _bound(term: str, formula: str, primitives: str, reference: str) -> Callable:
    """The decorated function is the bound's value, its docstring the argument."""

    def register(value: Callable[[int, int], int]) -> Callable[[int, int], int]:
        argument = " ".join(docstring(value).split())
        for primitive in primitives.split():
            _BOUNDS[primitive][term] = Bound(term, formula, value, argument, reference)
        return value

    return register


@_bound(LATENCY, "ceil(lg p)", "barrier", HENSGEN)
def _meeting(p: int, n: int) -> int:
    """A rank that has heard of k ranks, itself included, and meets one that has heard of k
    has heard of 2k at most. Nobody may leave before having heard of all p."""
    return ceil_lg(p)


@_bound(LATENCY, "ceil(lg p)", "bcast allgather reduce allreduce reduce_scatter", CHAN)
def _doubling(p: int, n: int) -> int:
    """In the time of a message, the ranks that have an element of one rank become at most
    twice as many, and so do the contributions in one sum. Some element must reach all p
    ranks, or some sum hold the contributions of all."""
    return ceil_lg(p) if n else 0


@_bound(LATENCY, "ceil(lg p)", "scatter gather", CHAN)
def _spreading(p: int, n: int) -> int:
    """In the time of a message, the ranks that have something of the root's, or of which the
    root has something, become at most twice as many. All that have a block must be among
    them."""
    return ceil_lg(max(min(n, p), 1))


@_bound(LATENCY, "ceil(lg p)", "alltoall", BRUCK)
def _everybody(p: int, n: int) -> int:
    """A rank that has data of k ranks, itself included, and hears from one that has data of k
    has data of 2k at most. Some rank needs data of all p."""
    return ceil_lg(p) if n else 0


@_bound(LATENCY, "ceil(lg p)", "scan exscan", "folklore")
def _last_rank(p: int, n: int) -> int:
    """The last rank needs the contributions of all others, and has its own in scan, while in
    exscan nobody asks for it. Either way what it has comes from at most twice as many ranks
    after every message, counting itself, and in the end from p."""
    return ceil_lg(p) if n else 0


@_bound(BANDWIDTH, "n", "bcast reduce", CHAN)
def _whole_vector(p: int, n: int) -> int:
    """All n bytes must leave the root, or reach it: a partial sum is as long as the vector."""
    return n if p > 1 else 0


@_bound(BANDWIDTH, "(p-1)/p n", "scatter gather", CHAN)
def _other_blocks(p: int, n: int) -> int:
    """All blocks but the root's own must leave the root, or reach it."""
    return n - -(-n // p)


@_bound(BANDWIDTH, "(p-1)/p n", "allgather", CHAN)
def _foreign_blocks(p: int, n: int) -> int:
    """Every rank must receive all blocks but its own."""
    return n - n // p


@_bound(BANDWIDTH, "(p-1)/p n", "alltoall", BRUCK)
def _own_blocks(p: int, n: int) -> int:
    """Every rank must send all blocks but the one for itself."""
    return n - n // p


@_bound(BANDWIDTH, "(p-1)/p n", "reduce_scatter", CHAN)
def _contributions(p: int, n: int) -> int:
    """For each element, every rank but the owner of its sum must send something at least
    once: (p-1) n bytes in all, and the busiest rank sends its share or more."""
    return _share((p - 1) * n, p)


@_bound(BANDWIDTH, "2(p-1)/p n", "allreduce", PATARASUK)
def _in_and_out(p: int, n: int) -> int:
    """For each element, look at the rank that has the whole sum first. Before, all p-1 others
    must have sent something that went into it; each of them must still be sent its own whole
    sum: 2(p-1) n bytes in all, and the busiest rank sends its share or more."""
    return _share(2 * (p - 1) * n, p)


@_bound(BANDWIDTH, "n", "scan exscan", "folklore")
def _first_rank(p: int, n: int) -> int:
    """The contribution of rank 0, all n bytes of it, must leave rank 0."""
    return n if p > 1 else 0


@_bound(COMPUTATION, "(p-1)/p n", "reduce allreduce reduce_scatter", CHAN)
def _additions(p: int, n: int) -> int:
    """It takes p-1 reductions to make one of p contributions, for each element; the busiest
    rank does its share or more."""
    return _share((p - 1) * n, p)


@_bound(COMPUTATION, "(p-1)/p n", "scan", SNIR)
def _prefixes(p: int, n: int) -> int:
    """There are p-1 different sums of two or more contributions to be made, for each element;
    the busiest rank does its share or more."""
    return _share((p - 1) * n, p)


@_bound(COMPUTATION, "(p-2)/p n", "exscan", SNIR)
def _exclusive_prefixes(p: int, n: int) -> int:
    """As in scan, but the sum of all contributions is not asked for, which leaves p-2."""
    return _share(max(p - 2, 0) * n, p)


def _share(total: int, p: int) -> int:
    return -(-total // p)


# Which bounds one algorithm meets together. "Here" means the catalogue.
TOGETHER: Mapping[str, str] = {
    "barrier": "There is only one, and dissemination (`recursive_doubling`) meets it.",
    "bcast": "Not at once. The last of s segments is the s-th message of the root at the "
    "earliest, and has ceil(lg p) messages to go: s - 1 + ceil(lg p) messages of n/s bytes are "
    "the shortest critical path there can be, and that of `circulant` is no longer "
    "(Träff 2025a). With one segment it is optimal in latency, with many nearly in bandwidth.",
    "scatter": "Yes: trees, for every p.",
    "gather": "Yes: trees, for every p.",
    "allgather": "Yes, for every p: `bruck`, `sparbit`, `circulant`.",
    "reduce": "Not at once, as in bcast, of which reduce is the mirror image. Computation at its "
    "bound is work spread over all ranks: reduce-scatter and gather.",
    "allreduce": "Latency and bandwidth not together: for a power of two the sum in every rank "
    "must double with every one of lg p messages, for all elements, and that takes n lg p bytes. "
    "With a critical path of 2 ceil(lg p) messages, bandwidth and computation are met together, "
    "for powers of two by `rabenseifner` and `halving_doubling`, for every p by `circulant`.",
    "reduce_scatter": "Yes, with an operator that commutes: `circulant` for every p.",
    "alltoall": "Not together. For a power of two a critical path of ceil(lg p) messages takes "
    "(n/2) lg p bytes, and the fewest bytes take p-1 messages (Bruck et al. 1997).",
    "scan": "Not known here. Prefix circuits of p inputs have size + depth >= 2p-2 (Snir 1986), so "
    "a short critical path costs more work in all. Doubling is optimal in latency, a pipeline of "
    "many segments nearly in bandwidth, and does no needless work.",
    "exscan": "Not known here; as in scan. `two_phase`, `popcount` and `recursive_exchange` "
    "are optimal in latency; `123_doubling` is, too, but for one message more if p - 1 is more "
    "than three quarters of the next power of two from p on.",
}
