"""Two roots: sums go up and results come down at the same time, for any operator.

An allreduce up a pipelined binary tree and down again leaves the ports idle half
the time: on the way up children only send, on the way down they only hear. So let
the first results come down while the last sums still go up, and every message up
be swapped for one down. Two trees, one over each half of the ranks, save the root
a round: the roots of both swap their sums, and each has the total. For p = 10::

         2 <-------> 7         a rank in turn swaps
       1   4       6   9         with its left child    sum up, total down
      0   3       5   8          with its right child   sum up, total down
                                 with its parent        sum up, total down

Three swaps a segment, so three rounds, whatever p is; about 3n bytes through the
busiest port, where two passes through a binary tree need 4n. Rings and halving
need 2n, but p or lg p pieces, and most of them an operator that commutes. The
trees are in order (`ranks.in_order_tree`), so rank order is kept. (The paper numbers them in
post-order, which keeps it, too.)
"""

from ..language import (
    algorithm,
    copy,
    default_segments,
    floor_lg,
    in_order_tree,
    in_rank_order,
    recv,
    scratch,
    send,
    split,
)


@algorithm("allreduce")
def dual_root(rank, p, sendbuf, recvbuf, *, segments=None):
    """Two trees whose roots swap sums: every message up is swapped for one down.

    In its step j a rank adds segment j of its children's sums and sends the sum
    to its parent. The total of segment j is known at the roots at the end of step
    j and at a rank d levels below d steps later, so in each swap the message down
    is of a segment somewhat behind the one that goes up. About 4 lg p rounds, and
    3 more for each further segment.

    `segments` is the number of segments; by default the optimum where starting
    a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(1 + max(floor(lg(ceil(p/2))) + floor(lg(ceil(p/2)/1.5)), 0)
        + floor(lg(ceil(p/2)+1)) + floor(lg((ceil(p/2)+1)/3))
        + min(ceil(p/2), 3)*(segments-1))*(alpha + n/segments*beta)
        + (p > 1)*(1 + max(floor(lg(ceil(p/2))) + floor(lg(ceil(p/2)/1.5)), 0)
        + min(ceil(p/2), 3)*(segments-1))*n/segments*gamma
    Restrictions: none
    Reference: Träff 2021
    """
    if segments is None:
        segments = default_segments(4 * floor_lg(p), sendbuf.nbytes, rate=3)
    depth, parent, children = place(rank, p)
    total, arriving = split(recvbuf, segments), split(scratch(sendbuf), segments)
    yield copy(sendbuf, recvbuf)
    for step in range(segments + depth + 1):
        up, down = step < segments, step - depth
        for child in children:
            swap = [send(total[down - 1], child)] if 0 < down <= segments else []
            if up:
                swap.append(recv(arriving[step], child))
                swap.append(in_rank_order(rank, total[step], child, arriving[step]))
            yield swap
        if parent is None:
            continue
        swap = [send(total[step], parent)] if up else []
        if depth == 0 and up:  # the other root
            swap.append(recv(arriving[step], parent))
            swap.append(in_rank_order(rank, total[step], parent, arriving[step]))
        elif depth > 0 and 0 <= down < segments:
            swap.append(recv(total[down], parent))
        yield swap


def place(rank, p):
    """Level, parent and children of a rank; each root has the other as its parent."""
    middle = (p + 1) // 2
    first, size = (0, middle) if rank < middle else (middle, p - middle)
    parent, branches, _ = in_order_tree(rank - first, size, size // 2)
    children = [first + child.root for child in branches]
    if parent is not None:
        return 1 + place(first + parent, p)[0], first + parent, children
    other = middle + (p - middle) // 2 if first == 0 else middle // 2
    return 0, other if p > 1 else None, children
