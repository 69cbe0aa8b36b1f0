"""Broadcast: the root's vector goes to every rank."""

from . import allgather, scatter
from .language import (
    algorithm,
    binomial_tree,
    default_segments,
    even_counts,
    partition,
    pass_down,
    recv,
    send,
    split,
)


@algorithm("bcast", also="linear")
def naive(rank, p, buf, root):
    """Linear broadcast: the root sends the vector to one rank after another.

    p-1 messages leave the root's port one by one while everybody else waits.

    Cost: (p-1)*(alpha + n*beta)
    Restrictions: none
    Reference: folklore
    """
    if rank == root:
        yield [send(buf, dest) for dest in range(p) if dest != root]
    else:
        yield recv(buf, root)


@algorithm("bcast", also="pipelined_ring", known_as="pipeline")
def ring(rank, p, buf, root, *, segments=None):
    """Pipelined chain: segments run round the ring, one behind the other.

    The vector is cut into segments. Each rank receives a segment from the left
    while it passes the one before it on to the right; the rank to the left of
    the root is the end of the chain. After p-1 rounds the first segment has
    reached everyone, and one more arrives in each further round.

    `segments` is their number. Many hide the length of the chain, few save
    messages; by default sqrt((p-2) * n / 8 KiB), the optimum where starting a
    message costs as much as 8 KiB of it.

    Cost: (p > 1)*(p - 2 + segments)*(alpha + n/segments*beta)
    Restrictions: none
    Reference: Pješivac-Grbović et al. 2007
    """
    segments = default_segments(p - 1, buf.nbytes) if segments is None else segments
    segment = split(buf, segments)
    hops = (rank - root) % p
    left, right = (rank - 1) % p, (rank + 1) % p
    for k in range(segments + 1):
        arrives = [recv(segment[k], left)] if hops > 0 and k < segments else []
        leaves = [send(segment[k - 1], right)] if hops < p - 1 and k > 0 else []
        yield arrives + leaves


@algorithm("bcast", also="scatter_allgather", known_as="van_de_geijn")
def recursive_doubling(rank, p, buf, root):
    """Van de Geijn's broadcast: scatter the vector, then allgather its blocks.

    The root cuts the vector into p blocks and scatters them by recursive
    halving; then all ranks exchange what they have by recursive doubling. Twice
    as many rounds as a binomial tree, but everybody helps to send: the vector
    passes each port about twice, not once a round. If p is not a power of two,
    the two halves fold the ranks as they do alone; the factor of beta is then an
    upper bound.

    Cost: (2*floor(lg(p)) + 3*fold(p))*alpha + (2 + 2*fold(p))*(p-1)*n/p*beta
    Restrictions: none
    Reference: Barnett et al. 1994 (with a ring); Thakur, Rabenseifner, Gropp 2005
    """
    counts = even_counts(buf.size, p)
    block = partition(buf, counts)
    mine = block[rank]
    source = block if rank == root else None
    yield from scatter.recursive_doubling(rank, p, source, mine, root, counts)
    yield from allgather.recursive_doubling(rank, p, mine, block)


@algorithm("bcast", also="binomial")
def tree(rank, p, buf, root):
    """Binomial tree: everyone who has the vector sends it to someone who has not.

    The number of ranks that have the vector doubles each round, but for the last
    round if p is not a power of two. A rank serves its largest subtree first,
    since that one has the longest way to go.

    Cost: ceil(lg(p))*(alpha + n*beta)
    Restrictions: none
    Reference: Chan et al. 2007
    """
    yield from pass_down(binomial_tree(rank, p, root), buf)


@algorithm("bcast")
def scatter_ring_allgather(rank, p, buf, root):
    """Van de Geijn's broadcast with a ring: scatter down a tree, allgather on a ring.

    The root's p blocks go down a binomial tree; then every block goes once round the
    ring. That takes p-1 more rounds, where `recursive_doubling` takes about lg p. In return
    about two vectors pass a port for every p, not only for powers of two, and in the second
    phase only neighbours talk: for long vectors, and where far messages cost more. The cost
    is that of root 0, see `scatter.tree`.

    Cost: (ceil(lg(p)) + p-1)*alpha + 2*(p-1)*n/p*beta
    Restrictions: none
    Reference: Barnett et al. 1994; Thakur, Rabenseifner, Gropp 2005
    """
    counts = even_counts(buf.size, p)
    block = partition(buf, counts)
    source = block if rank == root else None
    yield from scatter.tree(rank, p, source, block[rank], root, counts)
    yield from allgather.ring(rank, p, block[rank], block)
