"""Rabenseifner's idea: a long vector is halved on the way up, doubled on the way down.

Recursive doubling swaps whole vectors, so that each rank does the work of all.
Here two partners split the work: each sends the half that the other one will
finish, and adds what it gets to the half that it keeps. With partners at p/2,
p/4, ..., 1 the pieces get shorter with every round, and in the end each rank has
one p-th of the vector, complete. That is a reduce-scatter; gathered, it is a
reduce; with the halving run backwards, an allreduce.

The far partner comes first because then what a rank keeps is always a run of
neighbouring blocks, its own among them. The price is the order of the operands:
ranks 0 and p/2 meet before 0 and 1. `reduce_scatter.recursive_doubling` makes
the opposite choice.

If p is not a power of two, the ranks are folded: some hand their whole vector to
a neighbour first, which plays for both.
"""

from ..language import (
    algorithm,
    binomial_tree,
    copy,
    distances,
    fold,
    partition,
    recv,
    reduce,
    scratch,
    send,
    split,
)


def _halve(rank, team, part, arriving):
    """Recursive halving over the players: their parts end up complete."""
    player, mate = team.player(rank), team.mate(rank)
    if mate is not None:  # who only watches hands over its vector
        yield recv(arriving, mate), reduce(arriving, part.buf)
    for distance in reversed(distances(team.size)):
        peer = team.rank(player ^ distance)
        keep, give = (q - q % distance for q in (player, player ^ distance))
        [total] = part[keep : keep + distance]
        share = arriving[: total.size]
        yield send(part[give : give + distance], peer), recv(share, peer), reduce(share, total)


def _double(player, team, part):
    """Recursive doubling over the players: every part gets everywhere."""
    for distance in distances(team.size):
        peer = team.rank(player ^ distance)
        mine, theirs = (q - q % distance for q in (player, player ^ distance))
        outgoing, incoming = part[mine : mine + distance], part[theirs : theirs + distance]
        yield send(outgoing, peer), recv(incoming, peer)


@algorithm("reduce_scatter", commutative=True)
def recursive_halving(rank, p, sendbuf, recvbuf):
    """Recursive halving: partners split the work, the farthest ones first.

    In each round a rank sends its partner those of its partial sums that belong
    on the partner's side, half of them, and adds what it gets to the rest. If p
    is not a power of two, the first even ranks hand their whole vector to the odd
    rank after them, which plays for both and sends back their block. The halves
    are then uneven, and the factors of beta and gamma upper bounds.

    Cost: (floor(lg(p)) + 2*fold(p))*alpha
        + (p-1 + fold(p)*3/2*p)*n/p*(beta + gamma)
    Restrictions: commutative op; distant ranks meet first
    Reference: Thakur, Rabenseifner, Gropp, International Journal of High
        Performance Computing Applications 19(1), 2005
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf[0:p], mate)
        yield recv(recvbuf, mate)
        return
    counts = [sendbuf.size(i) for i in range(p)]
    work, arriving = scratch(recvbuf, sum(counts)), scratch(recvbuf, sum(counts))
    yield copy(sendbuf[0:p], work)
    part = partition(work, [sum(counts[team.span(q)]) for q in range(team.size)])
    yield from _halve(rank, team, part, arriving)
    complete = partition(work, counts)
    yield copy(complete[rank], recvbuf)
    if mate is not None:
        yield send(complete[mate], mate)


@algorithm("reduce", commutative=True)
def rabenseifner(rank, p, sendbuf, recvbuf, root):
    """Rabenseifner's reduce: recursive halving, then a binomial gather.

    The players split the sum among them by recursive halving; a binomial tree
    collects its parts at the root, which is a player. Twice the rounds of a
    binomial tree, but nobody adds more than one vector's length, and the vector
    passes a port about twice. If p is not a power of two, those who only watch
    hand over their whole vector first.

    Cost: (2*floor(lg(p)) + fold(p))*alpha
        + (2*(2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p))*n*beta
        + ((2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p))*n*gamma
    Restrictions: commutative op; distant ranks meet first
    Reference: Rabenseifner, International Conference on Computational Science 2004
    """
    team = fold(p, keep=root)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf, mate)
        return
    work, arriving = recvbuf if rank == root else scratch(sendbuf), scratch(sendbuf)
    part = split(work, team.size)
    yield copy(sendbuf, work)
    yield from _halve(rank, team, part, arriving)
    parent, children, (_, first, last) = binomial_tree(player, team.size, team.player(root))
    for child in reversed(children):
        yield recv(part[child.first : child.last], team.rank(child.root))
    if parent is not None:
        yield send(part[first:last], team.rank(parent))


@algorithm("allreduce", name="rabenseifner", commutative=True)
def allreduce_rabenseifner(rank, p, sendbuf, recvbuf):
    """Rabenseifner's allreduce: recursive halving, then recursive doubling.

    Halving splits the sum among the players, doubling brings its parts back to
    all of them, with the same partners in reverse. Each player sends 2(p-1)/p of
    the vector in 2 lg p rounds. If p is not a power of two, those who only watch
    hand over their vector first and get the sum in the end, which passes the
    whole vector through a port twice more.

    Cost: (2*floor(lg(p)) + 2*fold(p))*alpha
        + (2*(2**floor(lg(p)) - 1)/2**floor(lg(p)) + 2*fold(p))*n*beta
        + ((2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p))*n*gamma
    Restrictions: commutative op; distant ranks meet first
    Reference: Rabenseifner, International Conference on Computational Science 2004
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf, mate)
        return
    part, arriving = split(recvbuf, team.size), scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    yield from _halve(rank, team, part, arriving)
    yield from _double(player, team, part)
    if mate is not None:
        yield send(recvbuf, mate)
