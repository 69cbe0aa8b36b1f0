"""Two trees at once: the latency of a tree, and every port busy all the time.

In a pipelined binary tree the interior ranks send every segment twice, and the
leaves, half of the ranks, send nothing. So lay a second tree over the same ranks,
in which the leaves of the first are interior and its interior ranks are leaves.
One half of the vector goes down the first tree, the other half down the second:
every rank now takes n/2 bytes from each of its two parents, and sends n/2 to each
of its two children. That is n bytes in and n bytes out, the least possible.

The first tree is an in-order tree over the ranks 1 .. p-1, in which the even ones
are interior: they stand as high as their number has trailing zeros. Rank 0 (the
root; others are numbered from it on) feeds the highest. The second tree is the
mirror image if p is odd, and the same shifted by one rank if p is even; either
way it has the odd ranks inside. Both are in order, so each subtree is a run of
ranks, and operands stay in rank order. For p = 5::

        first half           second half

            0                    0
            4                    1
          2                        3
        1   3                    2   4

Who sends what when? Think of time in ticks, one message each. A rank must not
hear from both parents in one tick, nor send to both children. So the edges are
coloured even and odd: the two that enter a rank differently, and the two that
leave it. An even edge carries a segment in each even tick, an odd one in each odd
tick, from the first such tick on at which its upper end has one. The first
segments move like this, the next ones two ticks later::

    tick             0      1      2      3      4
    first half             0>4    4>2    2>1    2>3
    second half     0>1    1>3    3>4    3>2

All ranks have the first segment of both halves after about 2 lg p ticks, and two
more, one of each half, after every two ticks.

A reduce is the same backwards; and since the trees are in order, a reduce and a broadcast
make a scan. Up go the sums over the subtrees, except to rank 0; down comes to every rank the
sum over all ranks before its subtree, to begin with the vector of rank 0.
"""

from functools import lru_cache
from typing import NamedTuple

from ..language import (
    Blocks,
    algorithm,
    copy,
    default_segments,
    in_rank_order,
    recv,
    scratch,
    send,
    split,
)
from ..language import reduce as reduce_step


@algorithm("bcast", name="double_tree", also="two_tree")
def bcast(rank, p, buf, root, *, segments=None):
    """Two trees: half of the vector goes down each, and every rank works in both.

    Each rank takes a segment of one half from one parent and a segment of the
    other from the other parent, in turn; it passes on those of the tree in which
    it is interior, to one child and to the other, in turn. A new segment of
    either half arrives every two rounds.

    `segments` is the number of segments of each half; by default the optimum
    where starting a message costs as much as 8 KiB of it.

    A segment takes at most two ticks a level, since an edge may have to wait a tick for its
    colour, and the next one of its half comes two ticks later. If p is one more than a
    multiple of four, every longest way has an edge that need not wait: a tick less.

    Cost: (p > 1)*(2*floor(lg(max(p-2+p%2, 1))) + 2*segments - (p%4 == 1))
        *(alpha + n/2/segments*beta)
    Restrictions: none
    Reference: Sanders, Speck, Träff 2009
    """
    parents, children, ticks = place((rank - root) % p, p)
    if segments is None:
        segments = default_segments(ticks, buf.nbytes // 2, rate=2)
    half = [split(part, segments) for part in split(buf, 2)]
    for tick in range(ticks + 2 * (segments - 1)):
        steps = [
            recv(half[tree][k], (root + parent) % p)
            for tree, parent, k in due(parents, tick, segments)
        ]
        steps += [
            send(half[tree][k], (root + child) % p)
            for tree, child, k in due(children, tick, segments)
        ]
        yield steps


@algorithm("reduce", name="double_tree", also="two_tree", commutative=True)
def reduce(rank, p, sendbuf, recvbuf, root, *, segments=None):
    """Two trees: half of the vector comes up each, and every rank works in both.

    The broadcast run backwards, the last segment first. A rank adds what comes
    from its children in the tree in which it is interior, and passes on the sum;
    in the other tree it only delivers its own share. If p is not a power of two,
    the factor of gamma is an upper bound.

    `segments` is the number of segments of each half; by default the optimum
    where starting a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(2*floor(lg(max(p-2+p%2, 1))) + 2*segments - (p%4 == 1))
        *(alpha + n/2/segments*(beta + gamma))
    Restrictions: commutative op; the trees are laid over the ranks from the root
        on, so the operands are in cyclic order; in rank order for root 0
    Reference: Sanders, Speck, Träff 2009
    """
    label = (rank - root) % p
    parents, children, ticks = place(label, p)
    if segments is None:
        segments = default_segments(ticks, sendbuf.nbytes // 2, rate=2)
    result = recvbuf if rank == root else scratch(sendbuf)
    total, arriving = (
        [split(part, segments) for part in split(whole, 2)] for whole in (result, scratch(sendbuf))
    )
    yield copy(sendbuf, result)
    for tick in reversed(range(ticks + 2 * (segments - 1))):
        steps = [
            send(total[tree][k], (root + parent) % p)
            for tree, parent, k in due(parents, tick, segments)
        ]
        for tree, child, k in due(children, tick, segments):
            steps.append(recv(arriving[tree][k], (root + child) % p))
            steps.append(in_rank_order(label, total[tree][k], child, arriving[tree][k]))
        yield steps


@algorithm("allreduce", name="double_tree", also="two_tree")
def allreduce(rank, p, sendbuf, recvbuf, *, segments=None):
    """Two trees: up to rank 0, then down again.

    A reduce to rank 0, for which the trees are in rank order, then a broadcast.
    Both keep all ports busy already, so that overlapping them, as NCCL does, would gain
    no bytes, but only some rounds. If p is not a power of two, the factor of gamma is an
    upper bound.

    `segments` is the number of segments of each half; by default the optimum
    where starting a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(2*floor(lg(max(p-2+p%2, 1))) + 2*segments - (p%4 == 1))
        *(2*alpha + n/2/segments*(2*beta + gamma))
    Restrictions: none
    Reference: Sanders, Speck, Träff 2009
    """
    yield from reduce(rank, p, sendbuf, recvbuf if rank == 0 else None, 0, segments=segments)
    yield from bcast(rank, p, recvbuf, 0, segments=segments)


@algorithm("scan", name="double_tree", also="two_tree")
def scan(rank, p, sendbuf, recvbuf, *, segments=None):
    """Two trees: sums go up both, then what comes before a subtree goes down both.

    On the way up a rank adds its own share to what comes from its left child, keeps that,
    and reports it with the right child's sum added. On the way down it learns the sum over all
    ranks before its subtree; that is what the left child is told, too. With what it has kept
    it makes the rank's own result, which is what the right child is told.

    From p = 13 on `scan.pipelined_tree` sends three vectors from the busiest port, this one two,
    half up and half down each tree; but the way down begins when the way up has ended. All
    factors are upper bounds.

    `segments` is the number of segments of each half; by default the optimum
    where starting a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(2*floor(lg(max(p-2+p%2, 1))) + 2*segments - (p%4 == 1))
        *(2*alpha + n/2/segments*(2*beta + min(p-1, 5/2)*gamma))
    Restrictions: none
    Reference: Sanders, Speck, Träff 2009
    """
    yield from up_and_down(rank, p, sendbuf, recvbuf, segments, True)


@algorithm("exscan", name="double_tree", also="two_tree")
def exscan(rank, p, sendbuf, recvbuf, *, segments=None):
    """Two trees: sums go up both, then what comes before a subtree goes down both.

    The messages are those of `scan.double_tree`. A rank's own result is the sum before its
    subtree with that of its left child added; its own share goes to the right child only. All
    factors are upper bounds.

    `segments` is the number of segments of each half; by default the optimum
    where starting a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(2*floor(lg(max(p-2+p%2, 1))) + 2*segments - (p%4 == 1))
        *(2*alpha + n/2/segments*(2*beta + 3*(p-2)/max(p-1, 1)*gamma))
    Restrictions: none
    Reference: Sanders, Speck, Träff 2009
    """
    yield from up_and_down(rank, p, sendbuf, recvbuf, segments, False)


class Half(NamedTuple):
    """What a rank has of one half of the vector in a scan, each in segments."""

    mine: Blocks
    lower: Blocks  # the sum over the left subtree
    inner: Blocks  # lower and mine
    upper: Blocks  # the sum over the right subtree
    total: Blocks  # lower, mine and upper
    below: Blocks  # the sum over all ranks before the subtree
    through: Blocks  # below, lower and mine
    result: Blocks


def halves(rank, children, sendbuf, recvbuf, segments):
    """Both halves; sums that a rank without this or that child does not need are others."""
    spaces = [sendbuf, *(scratch(sendbuf) for _ in range(6)), recvbuf]
    for tree, parts in enumerate(zip(*(split(space, 2) for space in spaces))):
        half = Half(*(split(part, segments) for part in parts))
        peers = [link.peer for link in children if link.tree == tree]
        if not any(peer < rank for peer in peers):
            half = half._replace(inner=half.mine)
        if not any(peer > rank for peer in peers):
            half = half._replace(total=half.inner)
        yield half if rank > 0 else half._replace(through=half.mine)


def up_and_down(rank, p, sendbuf, recvbuf, segments, inclusive):
    """A scan: up both trees, then down both trees."""
    parents, children, ticks = place(rank, p)
    if segments is None:
        segments = default_segments(ticks, sendbuf.nbytes // 2, rate=2)
    half = list(halves(rank, children, sendbuf, recvbuf, segments))
    last = {link.tree: link.peer for link in sorted(children, key=lambda link: -link.first)}
    if rank == 0 and inclusive:
        yield copy(sendbuf, recvbuf)
    period = range(ticks + 2 * (segments - 1))
    for tick in reversed(period) if rank > 0 else ():
        reports = due(parents, tick, segments)
        steps = [send(half[tree].total[k], up) for tree, up, k in reports if up > 0]
        for tree, child, k in due(children, tick, segments):
            steps += gathered(rank, half[tree], child, k, child == last[tree])
        yield steps
    for tick in period:
        steps = []
        for tree, parent, k in due(parents, tick, segments):
            steps.append(recv(half[tree].below[k], parent))
            steps += prefixes(half[tree], k, inclusive)
        for tree, child, k in due(children, tick, segments):
            news = half[tree].below if child < rank else half[tree].through
            steps.append(send(news[k], child))
        yield steps


def gathered(rank, half, child, k, last):
    """Take segment k of a child's sum, from the last child the one that completes the total."""
    mine, lower, inner, upper, total, _, _, _ = (part[k] for part in half)
    left, lone = child < rank, half.total is half.inner
    steps = [recv(lower, child), reduce_step(lower, mine, out=inner)] if left else []
    steps += [] if left else [recv(upper, child)]
    return steps + ([reduce_step(inner, upper, out=total)] if last and not lone else [])


def prefixes(half, k, inclusive):
    """What follows when segment k of the sum before the subtree is there."""
    _, lower, inner, _, _, below, through, result = (part[k] for part in half)
    steps = []
    if inclusive or half.total is not half.inner:
        steps.append(reduce_step(below, inner, out=through))
    if inclusive:
        return [*steps, copy(through, result)]
    if half.inner is half.mine:
        return [*steps, copy(below, result)]
    return [*steps, reduce_step(below, lower, out=result)]


class Link(NamedTuple):
    """An edge of tree 0 or 1 as one end sees it, and its first segment's tick."""

    tree: int
    peer: int
    first: int


def due(links, tick, segments):
    """Of these links, (tree, peer, segment) where a segment passes in this tick."""
    for tree, peer, first in links:
        k, wait = divmod(tick - first, 2)
        if not wait and 0 <= k < segments:
            yield tree, peer, k


def place(label, p):
    """Links of a rank to its parents and to its children; ticks of one segment."""
    links, ticks = double_tree(p)
    return *links[label], ticks


def parents(p):
    """The parents of ranks 1 .. p-1 in both trees, with those of rank 0 None."""
    others = p - 1
    one = [None, *(above(i, others) for i in range(1, p))]
    if others % 2 == 0:
        mirrored = [above(p - i, others) for i in range(1, p)]
        return one, [None, *(parent and p - parent for parent in mirrored)]
    return one, [None, 0, *(above(i, others - 1) + 1 for i in range(1, others))]


def above(i, last):
    """The parent of i in the in-order tree over 1 .. last; 0 if it is the highest."""
    low = i & -i
    parent = (i - low) | 2 * low
    return parent if parent <= last else i - low


@lru_cache(maxsize=32)
def double_tree(p):
    """Per rank its links to parents and to children, and the ticks of one segment."""
    parent = parents(p)
    colour = colours(parent)
    first = {}
    links = [([], []) for _ in range(p)]
    for tree in (0, 1):
        for rank in range(1, p):
            path = [rank]
            while path[-1] and (tree, path[-1]) not in first:
                path.append(parent[tree][path[-1]])
            for upper, lower in zip(path[::-1], path[-2::-1]):
                ready = first.get((tree, upper), -1) + 1
                tick = ready + (ready + colour[tree, lower]) % 2
                first[tree, lower] = tick
                links[lower][0].append(Link(tree, upper, tick))
                links[upper][1].append(Link(tree, lower, tick))
    return links, max(first.values(), default=-1) + 1


def colours(parent):
    """Colour the edges, named (tree, lower end), 0 and 1 so that no two meet.

    Two edges meet if they enter one rank or leave one rank. Each edge meets at
    most two, so the edges form chains and rings; the rings are even.
    """
    leaving = {}
    for tree in (0, 1):
        for rank, upper in enumerate(parent[tree]):
            leaving.setdefault(upper, []).append((tree, rank))
    colour = {}
    for start in [(tree, rank) for rank in range(1, len(parent[0])) for tree in (0, 1)]:
        colour.setdefault(start, 1 - start[0])  # the second tree may be deeper
        front = [start]
        while front:
            tree, rank = edge = front.pop()
            for other in [(1 - tree, rank), *leaving[parent[tree][rank]]]:
                if other not in colour:
                    colour[other] = 1 - colour[edge]
                    front.append(other)
    return colour
