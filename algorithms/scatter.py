"""Scatter: the root hands every rank its block."""

from .language import (
    algorithm,
    binomial_tree,
    copy,
    distances,
    fold,
    neighbours,
    recv,
    scratch,
    send,
    stage,
)


@algorithm("scatter", also="linear")
def naive(rank, p, sendbuf, recvbuf, root):
    """Linear scatter: the root sends each rank its block, one after another.

    Nothing is forwarded, so no byte moves twice; the root's port carries p-1
    messages.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: folklore
    """
    if rank == root:
        yield copy(sendbuf[root], recvbuf)
        yield [send(sendbuf[dest], dest) for dest in range(p) if dest != root]
    else:
        yield recv(recvbuf, root)


@algorithm("scatter")
def ring(rank, p, sendbuf, recvbuf, root, counts):
    """Store and forward round the ring, the farthest block first.

    The root sends its right neighbour the block of the rank p-1 hops away, then
    the one of the rank p-2 hops away, and so on. Each rank passes on what is
    meant for the ranks behind it and keeps the last block that comes, its own.
    All blocks are on their way at once and arrive together in round p-1.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: Saad, Schultz 1989
    """
    left, right = neighbours(rank, p)
    if rank == root:
        yield copy(sendbuf[root], recvbuf)
        for hops in range(p - 1, 0, -1):
            yield send(sendbuf[(root + hops) % p], right)
        return
    behind = p - 1 - (rank - root) % p
    space = scratch(recvbuf, max(counts)), scratch(recvbuf, max(counts))
    passing = []
    for hops in range(behind, 0, -1):
        arriving = space[hops % 2][: counts[(rank + hops) % p]]
        yield [recv(arriving, left), *passing]
        passing = [send(arriving, right)]
    yield [recv(recvbuf, left), *passing]


@algorithm("scatter", known_as="hypercube")
def recursive_doubling(rank, p, sendbuf, recvbuf, root, counts):
    """Recursive halving on a hypercube: hand over the far half, keep the near.

    In the first round the root sends the rank across the widest dimension all
    the blocks of that half of the hypercube; then both do the same in their own
    halves. If p is not a power of two, 2**floor(lg p) ranks play, some of them
    for a neighbour too, whose block they pass on at the end. Differs from `tree`
    in who talks to whom: partners differ in one bit of their number, whatever
    the root. With such a p the halves are uneven, and a root in the smaller one
    puts up to twice as many bytes on the critical path; the cost is that of root 0.

    Cost: ceil(lg(p))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Johnsson, Ho 1989
    """
    team = fold(p, keep=root)
    player, mate, origin = team.player(rank), team.mate(rank), team.player(root)
    if player is None:
        yield recv(recvbuf, mate)
        return
    held = sendbuf
    for distance in reversed(distances(team.size)):
        partner = player ^ distance
        turn = (player ^ origin) % (2 * distance)
        if turn == 0:
            yield send(held[team.span(partner, distance)], team.rank(partner))
        elif turn == distance:
            mine = team.span(player, distance)
            held = stage(recvbuf, counts, mine.start, mine.stop)
            yield recv(held[mine], team.rank(partner))
    yield copy(held[rank], recvbuf)
    if mate is not None:
        yield send(held[mate], mate)


@algorithm("scatter", also="binomial", tree=binomial_tree)
def tree(rank, p, sendbuf, recvbuf, root, counts):
    """Binomial tree: pass on all the blocks of a subtree in one message.

    The root sends half of all blocks to the root of its largest subtree, a
    quarter to the next, and so on; each child does the same with what it got.
    The blocks of a subtree are neighbours, whatever the root.

    If p is not a power of two, the ranks split into unequal halves. The subtree of the
    root's first child is then the larger half for some roots, and up to twice as many
    bytes lie on the critical path; the cost is that of root 0.

    Cost: ceil(lg(p))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Chan et al. 2007
    """
    parent, children, (_, first, last) = binomial_tree(rank, p, root)
    held = sendbuf
    if parent is not None:
        held = stage(recvbuf, counts, first, last)
        yield recv(held[first:last], parent)
    for child in children:
        yield send(held[child.first : child.last], child.root)
    yield copy(held[rank], recvbuf)
