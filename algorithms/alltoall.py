"""All-to-all: every rank has a different block for every other rank.

An algorithm that forwards blocks has to know how long they are: it asks for `counts`. In
alltoallv a rank knows only its own, so all ranks first tell all others, p counts each. The
cost lines are for equal blocks, where nobody needs to be told.
"""

from . import gather, scatter
from .language import algorithm, copy, distances, fold, neighbours, partition, recv, scratch, send


@algorithm("alltoall", also=("linear", "spread"))
def naive(rank, p, sendbuf, recvbuf):
    """Direct exchange: every block goes straight to its destination.

    Each rank starts with its right neighbour and goes on round the ring, so
    that no two ranks send to the same one at once. No byte moves twice.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: Thakur, Rabenseifner, Gropp 2005
    """
    yield copy(sendbuf[rank], recvbuf[rank])
    sends = [send(sendbuf[(rank + k) % p], (rank + k) % p) for k in range(1, p)]
    recvs = [recv(recvbuf[(rank - k) % p], (rank - k) % p) for k in range(1, p)]
    yield sends + recvs


@algorithm("alltoall")
def ring(rank, p, sendbuf, recvbuf, counts):
    """Store and forward round the ring: keep one block, pass the rest on.

    In the first round every rank sends the right neighbour all its blocks for
    others, in the order in which their owners come round the ring. In each
    round the first block of what arrives is for oneself, and what remains goes
    on to the right. Only neighbours talk, but a block travels as many hops as
    its destination is away. SimGrid calls `ring` what is `pairwise` here: direct messages.

    Cost: (p-1)*(alpha + n/2*beta)
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: Grama et al. 2003
    """
    left, right = neighbours(rank, p)
    yield copy(sendbuf[rank], recvbuf[rank])
    outgoing = sendbuf.range(rank + 1, p - 1)
    for k in range(1, p):
        origin = (rank - k) % p
        beyond = counts[origin].take(range(rank + 1, rank + p - k), mode="wrap").sum()
        onward = scratch(recvbuf.buf, int(beyond))
        yield send(outgoing, right), recv([recvbuf[origin], onward], left)
        outgoing = onward


@algorithm("alltoall", known_as="bruck")
def recursive_doubling(rank, p, sendbuf, recvbuf, counts):
    """Bruck's all-to-all: a block travels its distance in powers of two.

    A block for the rank d hops to the right makes one jump of 2**k for every bit
    k that is set in d. In round k each rank sends the rank 2**k to its right all
    the blocks it holds whose distance has bit k, in one message. A block that
    has made its last jump lands in place, others in scratch space. Few rounds,
    but a byte moves as often as its distance has bits set. Half of the blocks
    move in each round, or fewer if p is not a power of two: the factor of beta
    is then an upper bound. MPICH and Open MPI have it as `brucks` and `modified_bruck`;
    what SimGrid calls `rdb`, for recursive doubling, gathers everything everywhere.

    Cost: ceil(lg(p))*(alpha + n/2*beta)
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: Bruck et al. 1997
    """
    held = [sendbuf[(rank + d) % p] for d in range(p)]
    yield copy(held[0], recvbuf[rank])
    for jump in distances(p):
        moving = [d for d in range(p) if d & jump]
        departing = [held[d] for d in moving]
        for d in moving:
            origin = (rank - d % (2 * jump)) % p
            arrived = d < 2 * jump
            size = counts[origin][(origin + d) % p]
            held[d] = recvbuf[origin] if arrived else scratch(recvbuf.buf, int(size))
        arriving = [held[d] for d in moving]
        yield send(departing, (rank + jump) % p), recv(arriving, (rank - jump) % p)


@algorithm("alltoall", also="gather_scatter")
def tree(rank, p, sendbuf, recvbuf, counts):
    """Binomial trees: gather everything at rank 0, sort it, scatter it.

    Rank 0 holds all p*p blocks for a moment. Few rounds, much data: for blocks
    of a few bytes on a slow network.

    Cost: 2*ceil(lg(p))*alpha + 2*(p-1)*n*beta
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: folklore
    """
    leaving, coming = counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist()
    mine = scratch(recvbuf.buf, leaving[rank])
    received = scratch(recvbuf.buf, coming[rank])
    by_source = by_dest = None
    if rank == 0:
        by_source = partition(scratch(mine, sum(leaving)), leaving)
        by_dest = partition(scratch(mine, sum(coming)), coming)
    yield copy(sendbuf[0:p], mine)
    yield from gather.tree(rank, p, mine, by_source, 0, leaving)
    if rank == 0:
        row = [partition(by_source[source], counts[source]) for source in range(p)]
        yield copy([row[source][dest] for dest in range(p) for source in range(p)], by_dest.buf)
    yield from scatter.tree(rank, p, by_dest, received, 0, coming)
    yield copy(received, recvbuf[0:p])


@algorithm("alltoall")
def hypercube(rank, p, sendbuf, recvbuf, counts):
    """Store and forward on a hypercube: in each dimension, hand over what lies beyond.

    In round k a rank swaps with its partner at distance 2**k: it gives away all blocks
    whose destination is on the partner's side of dimension k, wherever they come from.
    As many bytes as in Bruck's algorithm, but both directions of a link at once. If p
    is not a power of two, 2**floor(lg p) ranks play: the first even ranks hand their
    blocks to the odd rank after them and get those for them from it in the end. Players
    then have blocks of up to two ranks for up to two ranks: where a round moves n/2 for a
    power of two, it moves less than 4/3*n for other p. The factor of beta is then an upper
    bound.

    Cost: (floor(lg(p)) + 2*fold(p))*alpha
        + (floor(lg(p))*(4/3 if fold(p) else 1/2) + 2*fold(p))*n*beta
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: Johnsson, Ho 1989 (for powers of two)
    """
    team = fold(p)
    yield from forward(
        rank, p, sendbuf, recvbuf, counts, team, dimensions(team, p, team.player(rank))
    )


def dimensions(team, p, player):
    """For each dimension the partner, the blocks that a player gives it, those that it gets."""
    for distance in distances(team.size) if player is not None else ():
        partner = player ^ distance
        gives = beyond(team, p, player, partner, distance)
        yield partner, gives, beyond(team, p, partner, player, distance)


def forward(rank, p, sendbuf, recvbuf, counts, team, rounds):
    """Players swap blocks, named (source, dest), round by round: those of two ranks, some of them.

    `rounds` has the partner of each, the blocks to give away and the blocks to get. Who does
    not play hands all its blocks to its mate first and gets those for it in the end.
    """
    player, mate = team.player(rank), team.mate(rank)
    yield copy(sendbuf[rank], recvbuf[rank])
    if player is None:
        yield send(sendbuf.range(rank + 1, p - 1), mate)
        yield recv(recvbuf.range(rank + 1, p - 1), mate)
        return
    held = {(rank, dest): sendbuf[dest] for dest in range(p)}

    def place_for(pairs):
        for source, dest in pairs:
            size = int(counts[source][dest])
            held[source, dest] = recvbuf[source] if dest == rank else scratch(recvbuf.buf, size)
        return [held[pair] for pair in pairs]

    if mate is not None:
        yield recv(place_for([(mate, (mate + i) % p) for i in range(1, p)]), mate)
    for partner, gives, gets in rounds:
        outgoing, peer = [held.pop(pair) for pair in gives], team.rank(partner)
        yield send(outgoing, peer), recv(place_for(gets), peer)
    if mate is not None:
        yield send([held[(mate + i) % p, mate] for i in range(1, p)], mate)


def beyond(team, p, giver, taker, distance):
    """The blocks (source, dest) that one player hands another across a dimension."""
    ranks = range(p)
    sources = ranks[team.span(giver, distance)]
    players = range(taker % (2 * distance), team.size, 2 * distance)
    dests = [dest for player in players for dest in ranks[team.span(player)]]
    return [(source, dest) for source in sources for dest in dests]
