r"""K-nomial trees: binomial trees with another k than two.

In a binomial tree the number of ranks that have heard the news doubles in each
round: whoever knows tells one other. In a k-nomial tree whoever knows tells k-1
others before the next round, and the number grows k-fold::

    p = 9, k = 3              0
                    ______/ / \ \
                   6      3   2  1
                  / \    / \
                 8   7  5   4

The tree has only log_k p levels, each of k-1 messages from one rank. Ranks with one port pay
for them one after the other, (k-1) log_k p messages instead of lg p. That is never less, and
as little for a few small p only: in the picture 4, as in a binomial tree of 9 ranks, but for
p = 27 it is 6 instead of 5. A network card that has several messages in flight at once pays
one start-up for all of them, and then a k near the number of messages that it can overlap is
best. With k = 2 it is the binomial tree, with p the linear algorithm, and in between lies
everything else.

A subtree is a run of neighbouring ranks for every root (`ranks.knomial_tree`),
so blocks stay in place and operands in rank order.
"""

from ..language import algorithm, copy, knomial_tree, pass_up, recv, send, stage


@algorithm("bcast", name="knomial")
def bcast(rank, p, buf, root, *, k=4):
    """K-nomial tree: everyone who has the vector sends it to `k` - 1 others.

    In each round the informed ranks become `k` times as many; the last
    round has fewer messages if p is not a power of k. A rank starts
    its messages all at once, the one to the largest subtree first.

    Cost: ((k-1)*(ceil(log(p, k)) - 1) + ceil(p/k**(ceil(log(p, k)) - 1)) - 1)
        *(alpha + n*beta)
    Restrictions: none
    Reference: MPICH (knomial_1); Open MPI (knomial)
    """
    parent, children, _ = knomial_tree(rank, p, root, k)
    if parent is not None:
        yield recv(buf, parent)
    yield [send(buf, child.root) for child in children]


@algorithm("scatter", name="knomial", tree=knomial_tree)
def scatter(rank, p, sendbuf, recvbuf, root, counts, *, k=4):
    """K-nomial tree: pass on all the blocks of a subtree in one message.

    The root cuts its blocks into `k` runs, keeps one and sends off the
    others; then it and those that received one do the same with theirs.

    If p is not a power of k, the root may be in the shortest run, and up
    to twice as many bytes lie on the critical path; the cost is that of root 0.

    Cost: ((k-1)*(ceil(log(p, k)) - 1) + ceil(p/k**(ceil(log(p, k)) - 1)) - 1)
        *alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: UCC (knomial)
    """
    parent, children, (_, first, last) = knomial_tree(rank, p, root, k)
    held = sendbuf
    if parent is not None:
        held = stage(recvbuf, counts, first, last)
        yield recv(held[first:last], parent)
    yield [send(held[child.first : child.last], child.root) for child in children]
    yield copy(held[rank], recvbuf)


@algorithm("gather", name="knomial", tree=knomial_tree)
def gather(rank, p, sendbuf, recvbuf, root, counts, *, k=4):
    """K-nomial tree: pass up all the blocks of a subtree in one message.

    A rank takes the blocks of up to `k` - 1 subtrees of each size, all of
    them at once, and sends them with its own, which adjoins them, to its parent.

    If p is not a power of k, the root may be in the shortest run, and up
    to twice as many bytes lie on the critical path; the cost is that of root 0.

    Cost: ((k-1)*(ceil(log(p, k)) - 1) + ceil(p/k**(ceil(log(p, k)) - 1)) - 1)
        *alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: UCC (knomial)
    """
    parent, children, (_, first, last) = knomial_tree(rank, p, root, k)
    held = recvbuf if parent is None else stage(sendbuf, counts, first, last)
    yield copy(sendbuf, held[rank])
    yield [recv(held[child.first : child.last], child.root) for child in children]
    if parent is not None:
        yield send(held[first:last], parent)


@algorithm("reduce", name="knomial")
def reduce(rank, p, sendbuf, recvbuf, root, *, k=4):
    """K-nomial tree: partial results meet, `k` at a time, on their way up.

    A rank adds the sums of its children, the smallest subtrees first and the
    nearest of them first, so that each adjoins the run of ranks that it has
    summed already; rank order is kept for every root. One sum is taken at a
    time, into the same scratch space.

    Cost: ((k-1)*(ceil(log(p, k)) - 1) + ceil(p/k**(ceil(log(p, k)) - 1)) - 1)
        *(alpha + n*beta + n*gamma)
    Restrictions: none
    Reference: MPICH (knomial_1)
    """
    yield from pass_up(rank, knomial_tree(rank, p, root, k), sendbuf, recvbuf)
