"""Allgather: every rank collects every rank's block."""

from . import gather
from .language import (
    algorithm,
    binomial_tree,
    copy,
    distances,
    fold,
    neighbours,
    pass_down,
    recv,
    send,
)


@algorithm("allgather", also="spread")
def naive(rank, p, sendbuf, recvbuf):
    """Everyone tells everyone: p-1 direct messages a rank.

    Each rank starts with its right neighbour and goes on round the ring, so
    that no two ranks send to the same one at once. UCC calls this `linear`; Open MPI's
    `linear` gathers at rank 0 and broadcasts, which is nearer to `tree`.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: folklore; UCC (linear)
    """
    yield copy(sendbuf, recvbuf[rank])
    sends = [send(sendbuf, (rank + k) % p) for k in range(1, p)]
    recvs = [recv(recvbuf[(rank - k) % p], (rank - k) % p) for k in range(1, p)]
    yield sends + recvs


@algorithm("allgather")
def ring(rank, p, sendbuf, recvbuf):
    """Ring: pass on to the right the block that came last from the left.

    In round k = 1, 2, ... rank r receives block r-k and sends block r-k+1, which came in
    the round before or is its own. So all blocks travel round the ring at once; after
    p-1 rounds each has passed every rank.
    Only neighbours talk, and all links are busy all the time.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: Thakur, Rabenseifner, Gropp 2005
    """
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf[rank])
    for k in range(1, p):
        yield send(recvbuf[(rank - k + 1) % p], right), recv(recvbuf[(rank - k) % p], left)


@algorithm("allgather")
def recursive_doubling(rank, p, sendbuf, recvbuf):
    """Recursive doubling: swap all the blocks so far with a partner ever farther.

    Before round k each rank has the blocks of its aligned group of 2**k ranks;
    it swaps them for those of the neighbouring group. If p is not a power of
    two, 2**floor(lg p) ranks play: the first even ranks hand their block to the
    odd rank after them and get all the others from it in the end, which costs
    the whole vector once more. Groups of players then stand for up to twice as
    many ranks, so that the factor of beta is an upper bound.

    Cost: (floor(lg(p)) + 2*fold(p))*alpha + (1 + 2*fold(p))*(p-1)*n/p*beta
    Restrictions: none
    Reference: Thakur, Rabenseifner, Gropp 2005
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    yield copy(sendbuf, recvbuf[rank])
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf.range(rank + 1, p - 1), mate)
        return
    if mate is not None:
        yield recv(recvbuf[mate], mate)
    for distance in distances(team.size):
        partner = player ^ distance
        peer = team.rank(partner)
        mine, theirs = (recvbuf[team.span(q, distance)] for q in (player, partner))
        yield send(mine, peer), recv(theirs, peer)
    if mate is not None:
        yield send(recvbuf.range(mate + 1, p - 1), mate)


@algorithm("allgather", also="gather_bcast")
def tree(rank, p, sendbuf, recvbuf):
    """Binomial trees: gather at rank 0, then broadcast everything.

    After ceil(lg p) rounds rank 0 owns all blocks, after as many more everyone
    does. The way down carries the whole vector in every round: for short blocks.

    Cost: 2*ceil(lg(p))*alpha + ((p-1)/p + ceil(lg(p)))*n*beta
    Restrictions: none
    Reference: Chan et al. 2007
    """
    counts = recvbuf.sizes
    yield from gather.tree(rank, p, sendbuf, recvbuf if rank == 0 else None, 0, counts)
    yield from pass_down(binomial_tree(rank, p), recvbuf[0:p])
