"""Circulant graphs: halve p and round up, and no number of ranks is a bad one.

Hypercubes want a power of two. Halve p instead, and round up each time, until 1
is left: p = 5 gives 5, 3, 2, 1. In the round that goes from s to s' = ceil(s/2)
every rank sends to the rank s' to its right and hears from the rank s' to its
left: the same pattern on all ranks, none of which is left over.

Reduce-scatter. Rank r keeps a window of partial sums, for the ranks r, r+1, ...,
r+s-1 to its right; at first s = p. It sends the part of its window from s' on to
rank r+s', for which that part is the beginning of the window. For p = 5, by how
far to the right the owner of a block is::

    window of rank r        sends              adds, from the rank s' to the left
    0 1 2 3 4    s' = 3     3 4   to r+3       to 0 1
    0 1 2        s' = 2     2     to r+2       to 0
    0 1          s' = 1     1     to r+1       to 0
    0            the block of rank r, from all five

Every rank sends 4 blocks, which is p-1, in 3 rounds, which is ceil(lg p): neither can
be less. Run backwards it is an allgather, which has the fewest rounds and bytes, too.
Both together are an allreduce, with the fewest bytes in twice the fewest rounds; with
operands kept side by side, not added, it is an all-to-all, with the fewest rounds.

Broadcast. The same graph carries a vector cut into segments: in every round each
rank sends one segment to the right and hears one from the left, and after
ceil(lg p) rounds a new segment completes its way in each. What needs care is
which segment goes when. For p = 5, root 0 and four segments::

    round                    1  2  3  4  5  6
    from how far left        1  2  3  1  2  3
    rank 1 hears segment     0  .  .  3  2  1
    rank 2 hears segment     .  1  .  0  3  2
    rank 3 hears segment     .  .  2  1  0  3
    rank 4 hears segment     .  .  0  2  1  3

Segment 0 goes from the root to rank 1, from there to rank 4 (three to the right) in
round 3 and to rank 2 in round 4, and from rank 4 or 2 on. Each column has every
segment that is under way in it sent by a rank that has it already. `schedule` finds a
column's entry for one rank without looking at the others.
"""

from functools import lru_cache
from itertools import pairwise

from ..language import (
    algorithm,
    ceil_lg,
    copy,
    default_segments,
    partition,
    recv,
    reduce,
    scratch,
    send,
    skips,
    split,
)


@algorithm("reduce_scatter", name="circulant", commutative=True)
def reduce_scatter(rank, p, sendbuf, recvbuf):
    """Circulant reduce-scatter: windows of partial sums, halved each round.

    Rank r holds partial sums for the s ranks from r on, s = p at first. A round
    keeps the first half of this window (the longer one if s is odd), sends the
    other half to the rank for which it is the first, and adds what arrives from
    the left. No rank ever sits out, whatever p is, and all three lower bounds are
    met at once: rounds, bytes and work.

    Cost: ceil(lg(p))*alpha + (p-1)*n/p*(beta + gamma)
    Restrictions: commutative op; partial sums from both ends of the ring meet
    Reference: Träff 2024
    """
    window = partition(scratch(sendbuf.buf), [sendbuf.size((rank + i) % p) for i in range(p)])
    arriving = scratch(window.buf)
    yield copy(sendbuf.range(rank, p), window.buf)
    wide = p
    for skip in reversed(skips(p)[:-1]):
        [mine] = window[: wide - skip]
        share = arriving[: mine.size]
        leaving = send(window[skip:wide], (rank + skip) % p)
        yield leaving, recv(share, (rank - skip) % p), reduce(share, mine)
        wide = skip
    yield copy(window[0], recvbuf)


@algorithm("allgather", name="circulant")
def allgather(rank, p, sendbuf, recvbuf):
    """Circulant allgather: windows of blocks that double, but for a rounding.

    Rank r holds the s blocks from its own on, s = 1 at first. It gets those that
    follow from the rank s to its right, as many as are missing in a window of
    2s or 2s-1, whichever comes up when p is halved again and again. Blocks land
    in place: nothing is rotated in the end.

    Cost: ceil(lg(p))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Träff 2024
    """
    yield copy(sendbuf, recvbuf[rank])
    window = skips(p)
    for skip, wider in pairwise(window):
        mine, next_ones = (recvbuf.range(first, wider - skip) for first in (rank, rank + skip))
        yield send(mine, (rank - skip) % p), recv(next_ones, (rank + skip) % p)


@algorithm("allreduce", name="circulant", commutative=True)
def allreduce(rank, p, sendbuf, recvbuf):
    """Circulant allreduce: a circulant reduce-scatter, then the way back.

    The vector is cut into p blocks. The reduce-scatter leaves block r summed up
    on rank r, the allgather tells everyone. Twice the fewest rounds, but each
    rank sends only 2(p-1)/p of the vector, as in a ring, for every p.

    Cost: 2*ceil(lg(p))*alpha + 2*(p-1)*n/p*beta + (p-1)*n/p*gamma
    Restrictions: commutative op; as for the reduce-scatter
    Reference: Träff 2024
    """
    mine, total = split(sendbuf, p), split(recvbuf, p)
    yield from reduce_scatter(rank, p, mine, total[rank])
    yield from allgather(rank, p, total[rank], total)


@algorithm("alltoall", name="circulant")
def alltoall(rank, p, sendbuf, recvbuf, counts):
    """Circulant all-to-all: the reduce-scatter with "keep both" as its operator.

    `held[i]` has the blocks for the rank i to the right, each with how far to the
    left it comes from. A round sends the far half of them on and puts what
    arrives beside the rest. What is for oneself lands in place at once. About
    half of the blocks move in each round, fewer if p is not a power of two: the
    factor of beta is then an upper bound.

    Cost: ceil(lg(p))*(alpha + n/2*beta)
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: Träff 2024
    """
    yield copy(sendbuf[rank], recvbuf[rank])
    held = [[(0, sendbuf[(rank + i) % p])] for i in range(p)]
    for skip in reversed(skips(p)[:-1]):
        leaving, held = held[skip:], held[:skip]
        arriving = []
        for i, blocks in enumerate(leaving):
            for back, _ in blocks:
                origin = (rank - skip - back) % p
                size = int(counts[origin][(rank + i) % p])
                view = recvbuf[origin] if i == 0 else scratch(recvbuf.buf, size)
                held[i].append((skip + back, view))
                arriving.append(view)
        departing = [view for blocks in leaving for _, view in blocks]
        yield send(departing, (rank + skip) % p), recv(arriving, (rank - skip) % p)


@algorithm("bcast", name="circulant")
def bcast(rank, p, buf, root, *, segments=None):
    """Circulant broadcast: a pipeline that is only ceil(lg p) rounds deep.

    The vector is cut into segments. In each round every rank sends one to the
    right and hears one from the left, at one of the ceil(lg p) skips in turn:
    the table in `circulant.py` shows it for p = 5, and `schedule` says which for any p.
    After ceil(lg p) rounds everyone has one segment, and gets one more in each
    further round, which no broadcast can beat for this number of segments.

    `segments` is their number; see `bcast.ring`. By default the optimum for
    ceil(lg p) hops, where starting a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(ceil(lg(p)) - 1 + segments)*(alpha + n/segments*beta)
    Restrictions: none
    Reference: Träff 2025a
    """
    segments = default_segments(ceil_lg(p), buf.nbytes) if segments is None else segments
    segment = split(buf, segments)
    for leaves, dest, arrives, source in _rounds(rank, p, root, segments):
        sends = [] if leaves is None else [send(segment[leaves], dest)]
        recvs = [] if arrives is None else [recv(segment[arrives], source)]
        yield sends + recvs


@algorithm("reduce", name="circulant", commutative=True)
def reduce_(rank, p, sendbuf, recvbuf, root, *, segments=None):
    """Circulant reduce: the broadcast backwards, adding where it would copy.

    Each segment of the broadcast comes down a tree of its own; the same trees
    backwards carry partial sums up to the root. In each round a rank adds one
    segment that comes from the right and sends another, complete for its
    subtree, to the left. Any two trees differ, so that the operands meet in an
    order that only a commutative operator forgives.

    `segments` is their number; see `bcast.circulant`.

    Cost: (p > 1)*(ceil(lg(p)) - 1 + segments)*(alpha + n/segments*(beta + gamma))
    Restrictions: commutative op; the trees are not in rank order
    Reference: Träff 2025a
    """
    segments = default_segments(ceil_lg(p), sendbuf.nbytes) if segments is None else segments
    total = recvbuf if rank == root else scratch(sendbuf)
    partial = split(total, segments)
    arriving = scratch(partial[0])
    yield copy(sendbuf, total)
    for arrives, source, leaves, dest in _rounds(rank, p, root, segments, -1):
        steps = [] if leaves is None else [send(partial[leaves], dest)]
        if arrives is not None:
            mine = partial[arrives]
            share = arriving[: mine.size]
            steps += [recv(share, source), reduce(share, mine)]
        yield steps


def _rounds(rank, p, root, segments, order=1):
    """The rounds of a broadcast: (segment sent, to, segment received, from).

    None for no segment: nothing is sent to the root, or before there is anything.
    The schedule starts so late in its first cycle that it ends with a cycle.
    With -1 as `order` the last round comes first.
    """
    strides = skips(p)[:-1]
    cycle, hops = len(strides), (rank - root) % p
    outgoing = [schedule((hops + skip) % p, p)[k] for k, skip in enumerate(strides)]
    incoming = schedule(hops, p)
    last, idle = segments - 1, -(segments - 1) % max(cycle, 1)
    for i in range(idle, idle + last + cycle if p > 1 else 0)[::order]:
        k = i % cycle
        leaves, right = outgoing[k] + i - k - idle, (rank + strides[k]) % p
        arrives, left = incoming[k] + i - k - idle, (rank - strides[k]) % p
        leaves = None if leaves < 0 or right == root else min(leaves, last)
        arrives = None if arrives < 0 or rank == root else min(arrives, last)
        yield leaves, right, arrives, left


@lru_cache(maxsize=1 << 17)
def schedule(hops, p):
    """Which segment the rank `hops` to the right of the root hears at each skip.

    Entry k is for the rounds at skip k, counted from the start of a cycle of
    ceil(lg p) rounds; each cycle adds ceil(lg p). A negative entry of the first
    cycle means that nothing comes yet. For p = 5 and cycles of three rounds::

        hops   skip 1  skip 2  skip 3      in the second cycle
        1        0      -1      -2           3   2   1
        2       -3       1      -1           0   4   2
        3       -2      -3       2           1   0   5
        4       -1      -2       0           2   1   3

    Each row has -1, -2 and -3, but for one, in whose place stands the base of the row. So a
    cycle brings three segments in a row, but for one that the rank has had since the cycle
    before: instead it gets the one three later.

    The first segment to reach a rank is its base: the smallest skip on its way
    from the root when the skips are taken greedily, largest first. In one cycle a
    rank gets one segment of every base. At skip k it gets the one that a rank to its left
    came first by: a rank as far as skip k or farther, but nearer than skip k+1 if there is one.
    To find it, walk greedily again, by those bases only that have not come in this cycle,
    until near enough, and always stop farther to the left than before. For p = 5 the rank 3,
    whose own base is 2, walks by the bases 0, 1 and 3. The last is p long: from where the root was
    one turn before, 5 to its left, to the root::

        skip 1    goal 2    -5, 0, 2    base 1
        skip 2    goal 1    -5, 0, 1    base 0
        skip 3    goal 0    -5, 0       base 3, which only the root has

    So a rank finds its row in ceil(lg p) walks of ceil(lg p) + 1 steps at most, and looks at no
    other rank's. That the rank on its left has each segment in time is tested for every p up to
    1100; Träff proves it of a procedure that goes on from where the last walk ended, and needs
    O(lg p) steps in all.
    """
    strides = skips(p)
    cycle = len(strides) - 1
    mine, _ = _walk(range(cycle, -1, -1), strides, hops, hops)
    free = [base for base in range(cycle, -1, -1) if base != mine]
    entries, stopped = [], hops
    for skip, farther in pairwise(strides):
        base, stopped = _walk(free, strides, min(hops - skip, stopped - 1), hops - farther)
        free.remove(base)
        entries.append(mine if base == cycle else base - cycle)
    return entries


def _walk(bases, strides, goal, enough):
    """Walk to the right by these skips, no farther than `goal`, until past `enough`.

    Returns
    -------
    tuple of int
        The base of the last step, and where it ended, the root being at 0.
    """
    at, last = -strides[-1], None
    for base in bases:
        if at + strides[base] <= goal:
            at, last = at + strides[base], base
            if at > enough:
                break
    return last, at
