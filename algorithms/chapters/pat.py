"""Parallel aggregated trees: as few messages as the buffers allow.

In an allgather every block spreads on a tree, and the trees of all blocks look the
same seen from their owners. Count ranks from there: the owner is at offset 0, the rank
that is u ranks to its right at offset u. An edge of the tree has a length d, a power of
two: the rank at offset u sends the block on to offset u + d. So a message can carry blocks
of many trees at once. Breadth first, ceil(lg p) messages do it, and the largest takes half
of the vector. A network card with a few buffers cannot hold that. Depth first, a message
carries one block and p-1 are needed, but no more than lg p blocks are ever under way.

PAT has both. With room for a blocks a message the trees are walked breadth first
until they have a branches, and then all branches at once, each of them depth
first: for p = 8 and a = 2, by offset::

    message   1       2       3       4
    carries   0->4    0->2    2->3    0->1      the first branch
                      4->6    6->7    4->5      the second branch

A reduce-scatter walks the same trees backwards. There the gain in memory can be
seen: a partial sum is needed only for each offset on the path that is walked, not
for half of the blocks.
"""

from collections import defaultdict
from functools import lru_cache

from ..language import algorithm, ceil_lg, copy, floor_lg, recv, reduce, scratch, send


@lru_cache(maxsize=256)
def walk(p, aggregation):
    """The messages of an allgather: how far each goes, and the offsets it leaves.

    Each carries up to `aggregation` blocks, rounded down to a power of two.
    """
    size = 1 << ceil_lg(p)
    branches = min(1 << floor_lg(aggregation), size)
    lengths = [size >> k for k in range(1, floor_lg(branches) + 1)]
    messages = [(d, range(0, size, 2 * d)) for d in lengths]
    for offset, d in _depth_first(0, size // branches):
        messages.append((d, range(offset, size, size // branches)))
    reached = [(d, [u for u in offsets if u + d < p]) for d, offsets in messages]
    return [(d, offsets) for d, offsets in reached if offsets]


def _depth_first(offset, size):
    """The edges (offset, length) of one branch, each subtree at once."""
    while size > 1:
        size //= 2
        yield offset, size
        yield from _depth_first(offset + size, size)


@algorithm("allgather", name="pat")
def allgather(rank, p, sendbuf, recvbuf, *, aggregation=8):
    """PAT allgather: trees walked in parallel, up to `aggregation` blocks a message.

    A message is an edge length d and some offsets u (see the picture in `pat.py`). Each rank sends
    the rank d to its right the blocks for which it is at these offsets, those of the ranks
    u to its left; so they move on to offset u + d. The first messages carry few blocks and
    go farthest. All ranks do the same at the same time, whatever p is.

    `aggregation` is how many blocks fit in a message: 1 sends every block by
    itself, p makes the fewest messages and is `allgather.sparbit`. The default of 8 takes
    the fewest up to p = 16.

    Cost: (min(floor(lg(aggregation)), ceil(lg(p)))
        + min(p, 2**max(ceil(lg(p)) - floor(lg(aggregation)), 0)) - 1)*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Jeaugey 2025; NCCL
    """
    yield copy(sendbuf, recvbuf[rank])
    for d, offsets in walk(p, aggregation):
        outgoing = [recvbuf[(rank - u) % p] for u in offsets]
        incoming = [recvbuf[(rank - d - u) % p] for u in offsets]
        yield send(outgoing, (rank + d) % p), recv(incoming, (rank - d) % p)


@algorithm("reduce_scatter", name="pat", commutative=True)
def reduce_scatter(rank, p, sendbuf, recvbuf, *, aggregation=8):
    """PAT reduce-scatter: the allgather backwards, with few partial sums at a time.

    The messages of the allgather, the last one first and the other way round: partial sums
    of the block of the rank u to the left go from offset u + d to offset u, where a rank
    adds its own share. When a subtree is complete its sum goes on to the left. As a branch
    is walked depth first, it needs room for one partial sum at each level of its tree: a
    sum lands where the last one of its level was, which has been sent on. For p = 8 and
    two blocks a message the sums leave offsets 1, 3, 2, 4 in this order; NCCL takes the
    branches' subtrees in another one, 3, 2, 1, 4.

    `aggregation` is how many blocks fit in a message, see `allgather.pat`; the
    scratch space is about `aggregation` * lg(p) blocks.

    Cost: (min(floor(lg(aggregation)), ceil(lg(p)))
        + min(p, 2**max(ceil(lg(p)) - floor(lg(aggregation)), 0)) - 1)*alpha
        + (p-1)*n/p*(beta + gamma)
    Restrictions: commutative op; block b is added up in the cyclic order b, b+1,
        ..., p-1, 0, ..., not in rank order
    Reference: Jeaugey 2025; NCCL
    """
    longest = max(sendbuf.size(i) for i in range(p))
    width = (1 << ceil_lg(p)) // min(1 << floor_lg(aggregation), 1 << ceil_lg(p))
    room = defaultdict(lambda: scratch(recvbuf, longest))
    partial = [sendbuf[(rank - u) % p] for u in range(p)]
    for d, offsets in reversed(walk(p, aggregation)):
        shares = [room["arriving", i][: partial[u].size] for i, u in enumerate(offsets)]
        leaving = [partial[u + d] for u in offsets]
        steps = [send(leaving, (rank - d) % p), recv(shares, (rank + d) % p)]
        for u, share in zip(offsets, shares, strict=True):
            branch, place = divmod(u, width)
            total = room[branch, place & -place][: share.size]
            steps.append(reduce(partial[u], share, out=total))
            partial[u] = total
        yield steps
    yield copy(partial[0], recvbuf)
