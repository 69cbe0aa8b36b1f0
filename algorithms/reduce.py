"""Reduce: the root gets the sum (or another reduction) of all vectors."""

from . import gather, reduce_scatter
from .language import (
    algorithm,
    binomial_tree,
    copy,
    default_segments,
    even_counts,
    in_rank_order,
    partition,
    pass_up,
    recv,
    reduce,
    scratch,
    send,
    split,
)


@algorithm("reduce", also="linear")
def naive(rank, p, sendbuf, recvbuf, root):
    """Linear reduce: the root takes one vector after another and adds it.

    The vectors come in rank order, the root's own among them.

    Cost: (p-1)*(alpha + n*beta + n*gamma)
    Restrictions: none
    Reference: folklore
    """
    if rank != root:
        yield send(sendbuf, root)
        return
    total, arriving = scratch(sendbuf), scratch(sendbuf)
    for source in range(p):
        operand = sendbuf if source == root else arriving
        messages = [] if source == root else [recv(arriving, source)]
        add = copy(operand, total) if source == 0 else reduce(total, operand, out=total)
        yield [*messages, add]
    yield copy(total, recvbuf)


@algorithm("reduce", known_as="pipeline")
def ring(rank, p, sendbuf, recvbuf, root, *, segments=None):
    """Pipelined chains: partial results run towards the root, segment by segment.

    The ring is cut open between ranks p-1 and 0, which leaves two chains that
    end at the root: 0, 1, ... from below and p-1, p-2, ... from above. Each rank
    adds its own share to the segment that comes from outside and passes on the
    one before it. Two chains instead of one keep the operands in rank order for
    every root. The cost is that of root 0 or p-1, where one of them is empty. A
    root between waits for shorter chains, but takes and adds two segments at a
    time: up to twice as long for many segments.

    `segments` is the number of segments; see `bcast.ring`.

    Cost: (p > 1)*(p - 2 + segments)*(alpha + n/segments*beta + n/segments*gamma)
    Restrictions: none
    Reference: Pješivac-Grbović et al. 2007
    """
    segments = default_segments(p - 1, sendbuf.nbytes) if segments is None else segments
    total = split(recvbuf if rank == root else scratch(sendbuf), segments)
    arriving = split(scratch(sendbuf), segments), split(scratch(sendbuf), segments)
    yield copy(sendbuf, total.buf)
    if rank == root:
        sources = [source for source in (root - 1, root + 1) if 0 <= source < p]
        for k in range(segments):
            recvs = [recv(a[k], source) for a, source in zip(arriving, sources)]
            adds = [in_rank_order(rank, total[k], s, a[k]) for a, s in zip(arriving, sources)]
            yield recvs + adds
        return
    outer, inner = (rank - 1, rank + 1) if rank < root else (rank + 1, rank - 1)
    for k in range(segments + 1):
        steps = [send(total[k - 1], inner)] if k > 0 else []
        if k < segments and 0 <= outer < p:
            steps.append(recv(arriving[0][k], outer))
            steps.append(in_rank_order(rank, total[k], outer, arriving[0][k]))
        yield steps


@algorithm("reduce")
def recursive_doubling(rank, p, sendbuf, recvbuf, root):
    """Reduce-scatter, then gather: van de Geijn's broadcast run backwards.

    A reduce-scatter by recursive doubling leaves each rank with the sum of one
    p-th of the vector; a gather by recursive doubling brings the parts to the
    root. Twice the rounds of a binomial tree, but the work is shared by all, and
    the vector passes each port about twice, not once a round. If p is not a
    power of two, a rank that plays for two adds a whole vector first; the
    factors of beta and gamma are then upper bounds for root 0 (other roots: a few
    per cent more).

    Cost: (2*floor(lg(p)) + 3*fold(p))*alpha + (p-1)*n/p*beta
        + (p-1 + fold(p)*(p + ceil(lg(p))))*n/p*(beta + gamma)
    Restrictions: none
    Reference: after Rabenseifner 2004; Träff 2005 (the reduce-scatter)
    """
    counts = even_counts(sendbuf.size, p)
    block = scratch(sendbuf, counts[rank])
    yield from reduce_scatter.recursive_doubling(rank, p, partition(sendbuf, counts), block)
    collected = partition(recvbuf, counts) if rank == root else None
    yield from gather.recursive_doubling(rank, p, block, collected, root, counts)


@algorithm("reduce", also="binomial")
def tree(rank, p, sendbuf, recvbuf, root):
    """Binomial tree: partial results meet on their way to the root.

    A rank adds what its children send, the smallest subtree first, and sends
    the sum to its parent. Subtrees are runs of neighbouring ranks, so rank order
    is kept for every root.

    Cost: ceil(lg(p))*(alpha + n*beta + n*gamma)
    Restrictions: none
    Reference: Chan et al. 2007
    """
    yield from pass_up(rank, binomial_tree(rank, p, root), sendbuf, recvbuf)
