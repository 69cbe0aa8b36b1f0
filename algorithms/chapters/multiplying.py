"""Recursive multiplying: exchange with several partners at once.

Recursive doubling meets one partner a round, and needs lg p rounds. With
k - 1 partners a round log_k p rounds are enough. Each round takes more
messages, so that a rank that can do only one thing at a time loses; a network
card that can have several messages on their way at once wins.

The extreme is to hear from everybody: all vectors go everywhere, and every rank
does all the work. In two such rounds, one for the shares of a block and one for its sum, the
work is done once.
"""

from math import prod

from .. import allgather, reduce_scatter
from ..language import (
    Fold,
    algorithm,
    copy,
    digits,
    partition,
    recv,
    reduce,
    scratch,
    send,
    split,
)
from . import bruck


def team_of(p, k, keep=None):
    """The stages of `digits(p, k)`, and p ranks folded onto as many as they multiply to."""
    stages = digits(p, k)
    size = prod(groups for groups, _ in stages)
    return stages, Fold(size, p - size, keep)


def circle(player, groups, stride):
    """The players at one's place in each of `groups` neighbouring groups, and one's own number."""
    place = player // stride % groups
    first = player - place * stride
    return [first + i * stride for i in range(groups)], place


def _add_up(operands, total):
    """Steps that reduce `operands`, in order, into `total`, which is none of them."""
    later = [reduce(total, operand, out=total) for operand in operands[1:]]
    return [copy(operands[0], total), *later]


@algorithm("allreduce")
def recursive_multiplying(rank, p, sendbuf, recvbuf, *, k=4):
    """Recursive multiplying: each round joins `k` groups to one.

    In each round a rank sends its partial sum to the ranks at its place in
    k - 1 other groups and adds up theirs and its own, in rank order: so all of
    them compute the same bits. The last round joins fewer groups if fewer are
    left. The number of players is p with all its digits but the first set to 0;
    the ranks beyond are folded as in `allreduce.recursive_doubling`.

    With k = 2 this is recursive doubling, with p the direct exchange.

    Cost: ((k-1)*floor(log(p, k)) + floor(p/k**floor(log(p, k))) - 1)
        *(alpha + n*beta + n*gamma)
        + (p % k**floor(log(p, k)) > 0)*(2*alpha + 2*n*beta + n*gamma)
    Restrictions: none
    Reference: Ruefenacht, Bull, Booth 2017
    """
    stages, team = team_of(p, k)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf, mate)
        return
    partial, total, spare = sendbuf, scratch(recvbuf), scratch(recvbuf)
    arriving = [scratch(recvbuf) for _ in range(min(k, p))]
    if mate is not None:
        yield recv(arriving[0], mate), reduce(arriving[0], partial, out=spare)
        partial = spare
    for groups, stride in stages:
        members, place = circle(player, groups, stride)
        peers = [team.rank(member) for member in members]
        operands = [partial if i == place else arriving[i] for i in range(groups)]
        others = [(place + i) % groups for i in range(1, groups)]
        sends = [send(partial, peers[i]) for i in others]
        recvs = [recv(operands[i], peers[i]) for i in others]
        yield sends + recvs + _add_up(operands, total)
        partial, total, spare = total, spare, total
    yield copy(partial, recvbuf)
    if mate is not None:
        yield send(recvbuf, mate)


@algorithm("allreduce")
def gather_all(rank, p, sendbuf, recvbuf):
    """Gather all vectors everywhere, then add them up in rank order.

    An allgather of whole vectors by `allgather.bruck`, then p-1 additions on every
    rank. As few rounds as recursive doubling for a power of two, and no more for any
    other p; but p times the memory, bytes and work: for a few numbers. Libraries for GPUs
    call it one-shot where every vector comes straight from its owner, in one hop.

    Cost: ceil(lg(p))*alpha + (p-1)*n*(beta + gamma)
    Restrictions: none
    Reference: Open MPI (allgather_reduce, with direct messages)
    """
    vector = partition(scratch(recvbuf, p * recvbuf.size), [recvbuf.size] * p)
    yield from bruck.bruck(rank, p, sendbuf, vector)
    yield _add_up(list(vector), recvbuf)


@algorithm("allreduce", also="all_pairs")
def two_shot(rank, p, sendbuf, recvbuf):
    """Two rounds of direct messages: shares to the owner, its sum to everyone.

    The vector is cut into p blocks. First each rank sends every other its share of that one's
    block, and adds up its own block in rank order; then it sends the sum to all others. No
    byte is forwarded, so two hops are enough, with as few bytes as on a ring: for GPUs or
    cores of one node, all connected to all others. One-shot sends the whole vectors instead,
    in one hop (`gather_all`).

    Cost: 2*(p-1)*(alpha + n/p*beta) + (p-1)*n/p*gamma
    Restrictions: none
    Reference: MSCCL (all pairs)
    """
    block = split(recvbuf, p)
    mine = scratch(block[rank])
    yield from reduce_scatter.naive(rank, p, split(sendbuf, p), mine)
    yield from allgather.naive(rank, p, mine, block)


@algorithm("allgather", name="recursive_multiplying", also="recexch")
def allgather_recursive_multiplying(rank, p, sendbuf, recvbuf, *, k=4):
    """Recursive multiplying: swap all blocks so far with `k` - 1 groups a round.

    A rank that has the blocks of its group sends them to the ranks at its place in k - 1
    neighbouring groups, and gets theirs. The groups are `k` times as large after each round,
    but for the last one if fewer are left. Ranks beyond the number of players hand in
    their block first and get all others in the end; groups then stand for up to twice as many
    ranks, so the factor of beta is an upper bound.

    With `k` = 2 this is `recursive_doubling`, with p the direct exchange.

    Cost: ((k-1)*floor(log(p, k)) + floor(p/k**floor(log(p, k))) - 1
        + 2*(p % k**floor(log(p, k)) > 0))*alpha
        + (1 + 2*(p % k**floor(log(p, k)) > 0))*(p-1)*n/p*beta
    Restrictions: none
    Reference: MPICH (recexch); UCC (knomial)
    """
    stages, team = team_of(p, k)
    player, mate = team.player(rank), team.mate(rank)
    yield copy(sendbuf, recvbuf[rank])
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf.range(rank + 1, p - 1), mate)
        return
    if mate is not None:
        yield recv(recvbuf[mate], mate)
    for groups, stride in stages:
        members, place = circle(player, groups, stride)
        others = [members[(place + i) % groups] for i in range(1, groups)]
        mine = recvbuf[team.span(player, stride)]
        sends = [send(mine, team.rank(other)) for other in others]
        recvs = [recv(recvbuf[team.span(other, stride)], team.rank(other)) for other in others]
        yield sends + recvs
    if mate is not None:
        yield send(recvbuf.range(mate + 1, p - 1), mate)
