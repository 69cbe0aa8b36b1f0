"""Pipelined trees: few hops to the farthest rank, yet the vector comes in segments.

A binomial tree has the fewest rounds, but its root sends the whole vector lg p
times. A chain sends it once, but has p-1 hops. The remedy for both is to bound
the number of children and cut the vector into segments: a rank with c children
sends each segment c times, so a new segment comes every c rounds, whatever p is::

    shape                            rounds for s segments, about
    one chain (`bcast.ring`)         p + s
    c chains, one behind each port   p/c + c*s
    binary tree                      2 lg p + 2 s
    split binary tree                2 lg p + 2 s, for half of the vector, then it

Short vectors want few hops, long ones want few children. The binary trees are
in-order trees (`ranks.in_order_tree`): a rank's left subtree holds the ranks just
below it, the right one those just above. For p = 7 and root 3::

            3
        1       5
      0   2   4   6

Where rank order does not matter the ranks are numbered so that the root is in the
middle. A reduction for operators that do not commute has to leave the ranks where
they are: root 0 then has one child only, and the tree one more hop.
"""

from ..language import (
    Tree,
    algorithm,
    copy,
    default_segments,
    even_counts,
    floor_lg,
    in_order_tree,
    in_rank_order,
    partition,
    recv,
    scratch,
    send,
    split,
)


@algorithm("bcast")
def chain(rank, p, buf, root, *, chains=4, segments=None):
    """Several chains: the root feeds `chains` pipelines of equal length.

    The other ranks are dealt out to the chains, runs of neighbours whose lengths
    differ by at most one. The root sends every segment to the head of each chain,
    and each rank passes it on to the next. With more chains the way is shorter,
    but a new segment leaves only every `chains` rounds.

    `segments` is the number of segments; by default the optimum where starting
    a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(min(chains, p-1)*segments - 1 + floor((p-1)/max(min(chains, p-1), 1)))
        *(alpha + n/segments*beta)
    Restrictions: none
    Reference: Pješivac-Grbović et al. 2007; Open MPI (several chains)
    """
    chains = min(chains, max(p - 1, 1))
    if segments is None:
        hops = chains - 1 + (p - 1) // chains
        segments = default_segments(hops, buf.nbytes, rate=chains)
    place = (rank - root) % p
    links = partition(range(1, p), even_counts(p - 1, chains))
    if place == 0:
        parent, heads = None, [link[0] for link in links if len(link)]
    else:
        [link] = [link for link in links if place in link]
        parent = root if place == link[0] else (rank - 1) % p
        heads = [] if place == link[-1] else [place + 1]
    children = [(root + head) % p for head in heads]
    yield from stream_down(split(buf, segments), parent, children)


@algorithm("bcast", name="binary")
def bcast_binary(rank, p, buf, root, *, segments=None):
    """Pipelined binary tree: every rank passes each segment on to two others.

    While a rank sends a segment to its children the next one arrives. Interior
    ranks send everything twice, so a new segment comes every second round; the
    leaves, half of the ranks, send nothing at all.

    `segments` is the number of segments; by default the optimum where starting
    a message costs as much as 8 KiB of it.

    Cost: (floor(lg(p+1)) + floor(lg((p+1)/3)) + min(p-1, 2)*(segments-1))
        *(alpha + n/segments*beta)
    Restrictions: none
    Reference: Pješivac-Grbović et al. 2007
    """
    if segments is None:
        segments = default_segments(2 * floor_lg(p), buf.nbytes, rate=2)
    parent, children, _ = centred_tree(rank, p, root)
    yield from stream_down(split(buf, segments), parent, children)


@algorithm("bcast")
def split_binary(rank, p, buf, root, *, segments=None):
    """Split binary tree: half of the vector down each side, then swap halves.

    The root sends the first half of the vector down its left subtree and the
    second half down the right one, in segments. Then each rank swaps halves with
    one on the other side, half way round the ring of ranks. If p is even, the left
    side has one rank more, whose partner is the root. An interior rank sends
    n bytes down and n/2 across, where a binary tree sends 2n.

    `segments` is the number of segments of each half; by default the optimum
    where starting a message costs as much as 8 KiB of it.

    Cost: (floor(lg(p+1)) + floor(lg((p+1)/3)) + min(p-1, 2)*(segments-1))
        *(alpha + n/2/segments*beta) + (p > 1)*(alpha + n/2*beta)
    Restrictions: none
    Reference: Pješivac-Grbović et al. 2007
    """
    if segments is None:
        segments = default_segments(2 * floor_lg(p), buf.nbytes // 2, rate=2)
    half = split(buf, 2)
    segment = split(half[0], segments), split(half[1], segments)
    parent, children, _ = centred_tree(rank, p, root)
    if rank == root:
        for k in range(segments):
            yield [send(segment[side][k], child) for side, child in enumerate(children)]
        if p % 2 == 0:
            yield send(half[1], (root - p // 2) % p)
        return
    side = int((rank - root) % p < p - p // 2)
    yield from stream_down(segment[side], parent, children)
    partner = (rank + (-1) ** side * ((p + 1) // 2)) % p
    swap = [send(half[side], partner)] if partner != root else []
    yield [*swap, recv(half[1 - side], partner)]


@algorithm("reduce", name="binary", commutative=True)
def reduce_binary(rank, p, sendbuf, recvbuf, root, *, segments=None):
    """Pipelined binary tree: each rank adds two segments to its own.

    The broadcast turned round: while the sum of one segment goes to the parent,
    two parts of the next arrive. The root is in the middle of the tree.

    `segments` is the number of segments; by default the optimum where starting
    a message costs as much as 8 KiB of it.

    Cost: (floor(lg(p+1)) + floor(lg((p+1)/3)) + min(p-1, 2)*(segments-1))
        *(alpha + n/segments*beta)
        + (max(floor(lg(p)) + floor(lg(2*p/3)), 0) + min(p-1, 2)*(segments-1))
        *n/segments*gamma
    Restrictions: commutative op; the ranks are rotated to put the root in the
        middle, so the operands are in cyclic order
    Reference: Pješivac-Grbović et al. 2007
    """
    if segments is None:
        segments = default_segments(2 * floor_lg(p), sendbuf.nbytes, rate=2)
    place = centred_tree(rank, p, root)
    yield from stream_up(rank, sendbuf, recvbuf, segments, place.parent, place.children)


@algorithm("reduce")
def in_order_binary(rank, p, sendbuf, recvbuf, root, *, segments=None):
    """Pipelined in-order binary tree: as `binary`, and rank order is kept.

    Each rank adds what its left subtree sends, the sum over the ranks just below
    it, on the left, and what its right subtree sends on the right. The root takes
    all ranks below itself as its left subtree, all above as its right one; the
    cost is that of root 0, which has one subtree only. Others may need a few rounds
    more, and two a segment even for three ranks.

    `segments` is the number of segments; by default the optimum where starting
    a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(1 + floor(lg(p)) + floor(lg(p/3)) + max(min(p-2, 2), 1)*(segments-1))
        *(alpha + n/segments*beta)
        + (p > 1)*(1 + max(floor(lg(max(p-1, 1))) + floor(lg(max(2*p-2, 1)/3)), 0)
        + max(min(p-2, 2), 1)*(segments-1))*n/segments*gamma
    Restrictions: none
    Reference: Open MPI (in_order_binary)
    """
    if segments is None:
        segments = default_segments(2 * floor_lg(p), sendbuf.nbytes, rate=2)
    parent, branches, _ = in_order_tree(rank, p, root)
    children = [child.root for child in branches]
    yield from stream_up(rank, sendbuf, recvbuf, segments, parent, children)


def centred_tree(rank, p, root):
    """An in-order tree over the ranks rotated so that the root is in the middle."""
    shift = root - p // 2
    parent, children, mine = in_order_tree((rank - shift) % p, p, p // 2)
    if parent is not None:
        parent = (parent + shift) % p
    return Tree(parent, [(child.root + shift) % p for child in children], mine)


def stream_down(segment, parent, children):
    """Take segments from the parent, and pass on each while the next arrives."""
    for k in range(len(segment) + 1):
        arrives = [recv(segment[k], parent)] if parent is not None and k < len(segment) else []
        leaves = [send(segment[k - 1], child) for child in children] if k > 0 else []
        yield arrives + leaves


def stream_up(rank, sendbuf, recvbuf, segments, parent, children):
    """Add the children's segments, and pass up each sum while the next parts arrive."""
    total = split(recvbuf if parent is None else scratch(sendbuf), segments)
    arriving = [split(scratch(sendbuf), segments) for _ in children]
    yield copy(sendbuf, total.buf)
    for k in range(segments + 1):
        steps = [send(total[k - 1], parent)] if parent is not None and k > 0 else []
        for child, part in zip(children, arriving) if k < segments else ():
            steps.append(recv(part[k], child))
            steps.append(in_rank_order(rank, total[k], child, part[k]))
        yield steps
