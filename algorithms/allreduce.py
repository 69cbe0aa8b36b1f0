"""Allreduce: every rank gets the sum (or another reduction) of all vectors."""

from . import bcast
from . import reduce as reduction
from .language import (
    algorithm,
    copy,
    distances,
    fold,
    in_rank_order,
    neighbours,
    recv,
    reduce,
    scratch,
    send,
    split,
)


@algorithm("allreduce", also="linear")
def naive(rank, p, sendbuf, recvbuf):
    """Linear allreduce: rank 0 collects everything and tells everyone.

    A linear reduce to rank 0, then a linear broadcast from it. All the data and
    all the work go through one rank, so time grows with p.

    Cost: 2*(p-1)*(alpha + n*beta) + (p-1)*n*gamma
    Restrictions: none
    Reference: folklore
    """
    yield from reduction.naive(rank, p, sendbuf, recvbuf if rank == 0 else None, 0)
    yield from bcast.naive(rank, p, recvbuf, 0)


@algorithm("allreduce", commutative=True)
def ring(rank, p, sendbuf, recvbuf):
    """Ring allreduce: a reduce-scatter round the ring, then an allgather.

    The vector is cut into p blocks. In p-1 rounds every rank passes a partial
    result to the right and adds what comes from the left to its own share of
    that block; rank r then holds the complete block r+1. In p-1 more
    rounds the complete blocks travel once round the ring. Each rank sends
    2(p-1)/p of the vector, which is the least possible, whatever p is.

    Cost: 2*(p-1)*(alpha + n/p*beta) + (p-1)*n/p*gamma
    Restrictions: commutative op; the sum of block b starts at rank b and ends
        at rank b-1, so the operands are in cyclic order, not in rank order
    Reference: Patarasuk, Yuan 2009
    """
    left, right = neighbours(rank, p)
    block = split(recvbuf, p)
    arriving = scratch(block[0])
    yield copy(sendbuf, recvbuf)
    for k in range(p - 1):
        mine = block[(rank - k - 1) % p]
        partial = arriving[: mine.size]
        yield send(block[(rank - k) % p], right), recv(partial, left), reduce(partial, mine)
    for k in range(p - 1):
        yield send(block[(rank - k + 1) % p], right), recv(block[(rank - k) % p], left)


@algorithm("allreduce", also="butterfly")
def recursive_doubling(rank, p, sendbuf, recvbuf):
    """Recursive doubling: exchange everything with a partner ever farther away.

    In round k, ranks at distance 2**k swap their partial results and both add
    them, so that after round k each knows the sum over its group of 2**(k+1)
    ranks. Partners' groups are neighbours, so rank order is kept, and both
    compute the same bits. If p is not a power of two, 2**floor(lg p) ranks
    play: the first even ranks hand their vector to the odd rank after them,
    which plays for both and brings the result back.

    Cost: (floor(lg(p)) + 2*fold(p))*(alpha + n*beta) + ceil(lg(p))*n*gamma
    Restrictions: none
    Reference: Thakur, Rabenseifner, Gropp 2005
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf, mate)
        return
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    if mate is not None:
        yield recv(arriving, mate), reduce(arriving, recvbuf)
    for distance in distances(team.size):
        partner = team.rank(player ^ distance)
        add = in_rank_order(rank, recvbuf, partner, arriving)
        yield send(recvbuf, partner), recv(arriving, partner), add
    if mate is not None:
        yield send(recvbuf, mate)


@algorithm("allreduce", also="reduce_bcast")
def tree(rank, p, sendbuf, recvbuf):
    """Binomial trees: reduce up to rank 0, then broadcast down again.

    ceil(lg p) rounds carry partial results up a binomial tree, as many carry
    the sum down. Half of the ranks take part in the first round only, and
    nobody moves more than the whole vector per round.

    Cost: 2*ceil(lg(p))*(alpha + n*beta) + ceil(lg(p))*n*gamma
    Restrictions: none
    Reference: Chan et al. 2007
    """
    yield from reduction.tree(rank, p, sendbuf, recvbuf if rank == 0 else None, 0)
    yield from bcast.tree(rank, p, recvbuf, 0)
