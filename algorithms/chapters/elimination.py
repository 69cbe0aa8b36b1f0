"""Elimination: what to do with too many ranks for a power of two.

Recursive halving wants a power of two. Folding gives each rank too many to a
neighbour, which first takes in a whole vector, while everybody else waits, and
sends one back in the end. But when three ranks meet instead of two, the third can
help: it takes half of the vector from one of them, and passes it on, added up, to
the other. So three ranks, or four, do in two rounds of half a vector what two do
in one::

    three ranks  a, b, c          first                then
    lower half of the vector      c -> b adds b c      b -> a adds a b c
    upper half of the vector      b -> c adds b c      a -> c adds a b c

Now a has the lower half of the sum and c the upper, b is eliminated. Four ranks do
the same in two pairs, (a, b) and (c, d), which leaves a and d. A fold costs a whole
vector each way, this half of one. And since a group is a run of neighbouring ranks,
rank order is kept.
"""

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from ..language import (
    algorithm,
    copy,
    even_counts,
    floor_lg,
    in_rank_order,
    recv,
    scratch,
    send,
    split,
)
from .rabenseifner import double, halve, swaps


class Group(NamedTuple):
    """Two to four ranks in order: two players, `low` and `high`, and their helpers.

    A player without a helper is its own helper.
    """

    low: int
    low_helper: int
    high_helper: int
    high: int


@lru_cache(maxsize=8)
def groups(p):
    """As many groups as a power of two allows, each with at least two ranks."""
    counts = even_counts(p, max((1 << floor_lg(p)) // 2, 1))
    found = []
    for count, stop in zip(counts, accumulate(counts), strict=True):
        first, last = stop - count, stop - 1
        found.append(Group(first, first + (count == 4), last - (count > 2), last))
    return found


@algorithm("allreduce")
def elimination(rank, p, sendbuf, recvbuf):
    """Halving and doubling among players who come out of groups of two to four.

    Each group adds up its vectors so that one player has the lower half of the sum
    and another the upper. Players of the lower halves split them further by
    recursive halving, the nearest first, which keeps rank order, then collect the
    sum by recursive doubling; so do those of the upper halves. In the end each
    group goes back the way it came.

    Cost: (2*floor(lg(p)) + 2*fold(p))*alpha
        + (2*(2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p))*n*beta
        + ((2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p)/2)*n*gamma
    Restrictions: none
    Reference: after Rabenseifner, Träff 2004 (where three ranks meet in later rounds too)
    """
    team = groups(p)
    number = bisect_right(team, (rank, p)) - 1
    group = team[number]
    part, arriving = split(recvbuf, 2 * len(team)), scratch(recvbuf)
    [lower], [upper] = part[: len(team)], part[len(team) :]
    yield copy(sendbuf, recvbuf)
    if p > 1:
        yield from _join(rank, group, lower, upper, arriving)
    if rank in (group.low, group.high):
        low = rank == group.low
        pieces = range(len(team)) if low else range(len(team), 2 * len(team))
        way = swaps(number, len(team), pieces, lambda q: team[q].low if low else team[q].high)
        rounds = list(way)
        yield from halve(rank, rounds, part, arriving)
        yield from double(rounds, part)
    if p > 1:
        yield from _part(rank, group, lower, upper)


def _halves(rank, group, lower, upper):
    """The mate of a player or helper, its half in the exchange with it, and the other.

    A rank without a mate is its own.
    """
    low, low_helper, high_helper, high = group
    mate = {low: low_helper, low_helper: low, high: high_helper, high_helper: high}[rank]
    minds_lower = rank == low or (rank == high_helper and rank != high)
    return (mate, lower, upper) if minds_lower else (mate, upper, lower)


def _join(rank, group, lower, upper, arriving):
    """Add up the vectors of a group: the lower half at `low`, the upper at `high`."""
    low, low_helper, high_helper, high = group
    mate, own, other = _halves(rank, group, lower, upper)
    if mate != rank:
        share = arriving[: own.size]
        yield send(other, mate), recv(share, mate), in_rank_order(rank, own, mate, share)
    steps = []
    if rank == low_helper:
        steps.append(send(upper, high))
    if rank == high_helper:
        steps.append(send(lower, low))
    if rank in (low, high):
        source, share = high_helper if rank == low else low_helper, arriving[: own.size]
        steps += [recv(share, source), in_rank_order(rank, own, source, share)]
    yield steps


def _part(rank, group, lower, upper):
    """The way back: both halves of the sum for all of the group."""
    low, low_helper, high_helper, high = group
    mate, own, other = _halves(rank, group, lower, upper)
    steps = []
    if rank == low_helper:
        steps.append(recv(upper, high))
    if rank == high_helper:
        steps.append(recv(lower, low))
    if rank in (low, high):
        steps.append(send(own, high_helper if rank == low else low_helper))
    yield steps
    if mate != rank:
        yield send(own, mate), recv(other, mate)
