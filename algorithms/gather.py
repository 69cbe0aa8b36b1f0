"""Gather: the root collects every rank's block."""

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


@algorithm("gather", also="linear")
def naive(rank, p, sendbuf, recvbuf, root):
    """Linear gather: every rank sends its block straight to the root.

    No byte moves twice; the root's port takes p-1 messages one by one.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: folklore
    """
    if rank == root:
        yield copy(sendbuf, recvbuf[root])
        yield [recv(recvbuf[source], source) for source in range(p) if source != root]
    else:
        yield send(sendbuf, root)


@algorithm("gather")
def ring(rank, p, sendbuf, recvbuf, root, counts):
    """Store and forward round the ring, the nearest block first.

    Every rank sends its own block to the left, then passes on the blocks that
    come from the right, one a round. All blocks move towards the root at once;
    the one that starts just behind the root arrives last, in round p-1.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: Saad, Schultz 1989
    """
    left, right = neighbours(rank, p)
    if rank == root:
        yield copy(sendbuf, recvbuf[root])
        for hops in range(1, p):
            yield recv(recvbuf[(root + hops) % p], right)
        return
    behind = p - 1 - (rank - root) % p
    space = scratch(sendbuf, max(counts)), scratch(sendbuf, max(counts))
    held = sendbuf
    for hops in range(1, behind + 1):
        arriving = space[hops % 2][: counts[(rank + hops) % p]]
        yield send(held, left), recv(arriving, right)
        held = arriving
    yield send(held, left)


@algorithm("gather", known_as="hypercube")
def recursive_doubling(rank, p, sendbuf, recvbuf, root, counts):
    """Hypercube gather: in each dimension one half hands all it has to the other.

    In round k, a rank whose number differs from the root's in bit k, and in no
    lower bit, sends the 2**k blocks it has collected to its partner across
    dimension k, and is done. If p is not a power of two, 2**floor(lg p) ranks
    play, some of them for a neighbour too, whose block they take first. The
    halves are then uneven, and a root in the smaller one puts up to twice as many
    bytes on the critical path; the cost is that of root 0.

    Cost: ceil(lg(p))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Johnsson, Ho 1989
    """
    team = fold(p, keep=root)
    player, mate, origin = team.player(rank), team.mate(rank), team.player(root)
    if player is None:
        yield send(sendbuf, mate)
        return
    low_bits = player ^ origin
    reach = team.span(player, low_bits & -low_bits or team.size)
    held = recvbuf if rank == root else stage(sendbuf, counts, reach.start, reach.stop)
    yield copy(sendbuf, held[rank])
    if mate is not None:
        yield recv(held[mate], mate)
    for distance in distances(team.size):
        partner = player ^ distance
        turn = low_bits % (2 * distance)
        if turn == 0:
            yield recv(held[team.span(partner, distance)], team.rank(partner))
        elif turn == distance:
            yield send(held[team.span(player, distance)], team.rank(partner))


@algorithm("gather", also="binomial", tree=binomial_tree)
def tree(rank, p, sendbuf, recvbuf, root, counts):
    """Binomial tree: pass up all the blocks of a subtree in one message.

    A rank waits for its children, the smallest subtree first, and sends their
    blocks and its own, which are neighbours, to its parent.

    If p is not a power of two, the ranks split into unequal halves. The subtree of the
    root's first child is then the larger half for some roots, and up to twice as many
    bytes lie on the critical path; the cost is that of root 0.

    Cost: ceil(lg(p))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Chan et al. 2007
    """
    parent, children, (_, first, last) = binomial_tree(rank, p, root)
    held = recvbuf if parent is None else stage(sendbuf, counts, first, last)
    yield copy(sendbuf, held[rank])
    for child in reversed(children):
        yield recv(held[child.first : child.last], child.root)
    if parent is not None:
        yield send(held[first:last], parent)
