"""Reduce-scatter: every rank gets its block of the sum of all vectors."""

from functools import lru_cache

from . import scatter
from .language import (
    add_pieces,
    algorithm,
    binomial_tree,
    bit_reversed,
    copy,
    distances,
    fold,
    in_rank_order,
    neighbours,
    partition,
    pass_up,
    recv,
    reduce,
    scratch,
    send,
)


@algorithm("reduce_scatter")
def naive(rank, p, sendbuf, recvbuf):
    """Direct exchange: everyone sends everyone their block; each adds its own.

    p-1 direct messages a rank, starting with the right neighbour. The shares
    are added in rank order when all have come; they take p-1 blocks of scratch space.
    Open MPI's `basic_linear` is another algorithm, a linear reduce and scatter by rank 0.

    Cost: (p-1)*(alpha + n/p*beta + n/p*gamma)
    Restrictions: none
    Reference: folklore
    """
    share = [sendbuf[r] if r == rank else scratch(recvbuf) for r in range(p)]
    sends = [send(sendbuf[(rank + k) % p], (rank + k) % p) for k in range(1, p)]
    recvs = [recv(share[(rank - k) % p], (rank - k) % p) for k in range(1, p)]
    adds = [reduce(recvbuf, more, out=recvbuf) for more in share[1:]]
    yield [*sends, *recvs, copy(share[0], recvbuf), *adds]


@algorithm("reduce_scatter", also="bucket", commutative=True)
def ring(rank, p, sendbuf, recvbuf):
    """Bucket algorithm: partial sums travel round the ring and end where they belong.

    The partial sum of block b starts at rank b+1 and moves right; each rank adds
    its own share. After p-1 rounds it is complete and has reached rank b.

    Cost: (p-1)*(alpha + n/p*beta + n/p*gamma)
    Restrictions: commutative op; block b is added up in the cyclic order b+1,
        ..., p-1, 0, ..., b, not in rank order
    Reference: Barnett et al. 1994
    """
    left, right = neighbours(rank, p)
    longest = max(sendbuf.size(i) for i in range(p))
    space = scratch(recvbuf, longest), scratch(recvbuf, longest)
    held = sendbuf[left]
    for k in range(2, p + 1):
        mine = sendbuf[(rank - k) % p]
        partial = space[k % 2][: mine.size]
        yield send(held, right), recv(partial, left), reduce(partial, mine, out=partial)
        held = partial
    yield copy(held, recvbuf)


@algorithm("reduce_scatter", known_as="butterfly")
def recursive_doubling(rank, p, sendbuf, recvbuf):
    """Butterfly: partners at distance 1, 2, 4, ... split the work in halves.

    In round k a rank sends its partner at distance 2**k the half of its partial
    sums that lies on the partner's side, and adds what it gets to the other
    half. Groups that meet are neighbours, so rank order is kept. A rank keeps
    the blocks of the ranks that agree with it in the last k+1 bits; laid out in
    bit-reversed order, these are always one half of what it had. MPICH has this as
    `noncommutative`; its `recursive_doubling` is `recursive_exchange` here.

    If p is not a power of two, 2**floor(lg p) ranks play: the first even ranks
    hand their whole vector to the odd rank after them, which plays for both and
    sends back their block. The halves are then uneven, and the factors of beta
    and gamma upper bounds.

    Cost: (floor(lg(p)) + 2*fold(p))*alpha
        + (p-1 + fold(p)*(p + ceil(lg(p))))*n/p*(beta + gamma)
    Restrictions: none
    Reference: Träff 2005
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    held = sendbuf.grouped(mirrored(team))
    if player is None:
        yield send(held[:], mate)
        yield recv(recvbuf, mate)
        return
    length = held.sizes
    sums, arriving = (partition(scratch(recvbuf, sum(length)), length) for _ in range(2))
    if mate is not None:
        yield recv(arriving.buf, mate), *add_pieces(arriving.buf, held[:], sums.buf)
        held = sums
    first, last, done = 0, team.size, held[0]
    for distance in distances(team.size):
        middle = (first + last) // 2
        lower, upper = slice(first, middle), slice(middle, last)
        keep, give = (upper, lower) if player & distance else (lower, upper)
        [theirs], [done], partner = arriving[keep], sums[keep], team.rank(player ^ distance)
        add = add_pieces(theirs, held[keep], done, left=partner < rank)
        yield send(held[give], partner), recv(theirs, partner), *add
        held, first, last = sums, keep.start, keep.stop
    yield copy(done[done.size - recvbuf.size :], recvbuf)
    if mate is not None:
        yield send(done[: done.size - recvbuf.size], mate)


@algorithm("reduce_scatter", also="reduce_then_scatter")
def tree(rank, p, sendbuf, recvbuf):
    """Binomial trees: reduce to rank 0, then scatter.

    After ceil(lg p) rounds rank 0 owns the whole sum; as many more hand out its
    blocks. The way up carries the whole vector in every round: for short blocks.

    Cost: 2*ceil(lg(p))*alpha + (ceil(lg(p)) + (p-1)/p)*n*beta + ceil(lg(p))*n*gamma
    Restrictions: none
    Reference: Chan et al. 2007
    """
    counts = sendbuf.sizes
    total = scratch(sendbuf.buf) if rank == 0 else None
    yield from pass_up(rank, binomial_tree(rank, p), sendbuf.buf, total)
    block = partition(total, counts) if rank == 0 else None
    yield from scatter.tree(rank, p, block, recvbuf, 0, counts)


@algorithm("reduce_scatter")
def recursive_exchange(rank, p, sendbuf, recvbuf):
    """Recursive exchange: ever farther partners swap all sums that others need.

    Before round k a rank has the sums over its aligned group of 2**k ranks, of all blocks.
    Nobody outside a group can complete a block of its ranks without their sum; so a rank
    sends its partner all of them but those of its own group, and adds what it gets. In the end
    each has its own block. Why half of the vector is enough, and halving was invented: only one
    rank in each group needs to go on with a block, and here all of them do. MPICH has this as
    `recursive_doubling`.

    If p is not a power of two, 2**floor(lg p) ranks play: the first even ranks hand
    their whole vector to the odd rank after them, which plays for both and sends back their
    block. The factors of beta and gamma are then upper bounds.

    Cost: (floor(lg(p)) + 2*fold(p))*alpha
        + (floor(lg(p))*p - 2**floor(lg(p)) + 1 + fold(p)*(p+1))*n/p*(beta + gamma)
    Restrictions: none
    Reference: Thakur, Rabenseifner, Gropp 2005; MPICH (recursive_doubling)
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf[0:p], mate)
        yield recv(recvbuf, mate)
        return
    counts = sendbuf.sizes
    total, arriving = (partition(scratch(recvbuf, sum(counts)), counts) for _ in range(2))
    yield copy(sendbuf[0:p], total.buf)
    if mate is not None:
        yield recv(arriving.buf, mate), reduce(arriving.buf, total.buf)
    for distance in distances(team.size):
        partner = player ^ distance
        peer = team.rank(partner)
        mine, theirs = team.span(player, distance), team.span(partner, distance)
        coming = outside(theirs, arriving)
        add = [in_rank_order(rank, a, peer, b) for a, b in zip(outside(theirs, total), coming)]
        yield send(outside(mine, total), peer), recv(coming, peer), *add
    yield copy(total[rank], recvbuf)
    if mate is not None:
        yield send(total[mate], mate)


@lru_cache(maxsize=64)
def mirrored(team):
    """The ranks that each player stands for, players sorted by their bits read backwards."""
    return [team.span(player) for player in bit_reversed(team.size)]


def outside(span, block):
    """The blocks before and after a run of ranks: two views, or one."""
    runs = slice(0, span.start), slice(span.stop, len(block))
    return [view for run in runs if run.start < run.stop for view in block[run]]
